"""openapi.json says what the directory answers: every status that it names of every route is made here,
and each reply held against its schema, which allows nothing that it does not name."""

import copy
import json
import re
import socket

import jsonschema
import pytest

from harness import PASSWORD, PATIENCE, wait_until

CONTENT = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
ENTRIES = [{"filename": "a.txt", "url": ["127.0.0.1:1"], "size": 7, "content": CONTENT},
           {"filename": "b.txt", "url": ["127.0.0.1:2"]},
           {"filename": "part.txt", "url": ["127.0.0.1:1"], "size": 7, "content": CONTENT,
            "partial": True}]
BODY_MAX = 64 << 20


def close_schemas(item):
    """Nothing but what is named: an object without additionalProperties gets false."""
    if isinstance(item, dict):
        if item.get("type") == "object" and "properties" in item:
            item.setdefault("additionalProperties", False)
        for value in item.values():
            close_schemas(value)
    elif isinstance(item, list):
        for value in item:
            close_schemas(value)


class Description:
    def __init__(self, directory):
        reply = directory.get("/openapi.json")
        assert reply.headers["Content-Type"] == "application/json"
        self.document = reply.json
        self.strict = copy.deepcopy(self.document)
        close_schemas(self.strict)
        self.seen = set()

    def resolve(self, item):
        while "$ref" in item:
            at = self.strict
            for key in item["$ref"].split("/")[1:]:
                at = at[key]
            item = at
        return item

    def operations(self):
        return {(method.upper(), path): operation for path, methods in self.strict["paths"].items()
                for method, operation in methods.items()}

    def statuses(self):
        return {(method, path, status) for (method, path), operation in self.operations().items()
                for status in operation["responses"]}

    def check(self, method, path, reply, status):
        assert reply.status == status, (method, path, reply)
        response = self.resolve(self.operations()[method, path]["responses"][str(status)])
        kind = reply.headers["Content-Type"]
        schema = {**response["content"][kind]["schema"], "components": self.strict["components"]}
        value = reply.json if kind == "application/json" else reply.text
        jsonschema.Draft202012Validator(schema).validate(value)
        for header, described in response.get("headers", {}).items():
            jsonschema.Draft202012Validator(described["schema"]).validate(int(reply.headers[header]))
        self.seen.add((method, path, str(status)))
        return reply


@pytest.fixture
def description(directory):
    return Description(directory)


def bearer(login):
    return {"Authorization": "Bearer " + login.json["token"]}


def log_in(directory, name, **fields):
    return directory.request("POST", "/login", body=json.dumps(
        {"username": name, "password": PASSWORD, **fields}).encode(),
        headers={"Content-Type": "application/json"})


def test_the_description_is_one(description):
    """Its references lead somewhere, its schemas are schemas, and it names what the routes are."""
    text = json.dumps(description.document)
    for reference in set(re.findall(r'"\$ref": "([^"]*)"', text)):
        description.resolve({"$ref": reference})
    for schema in description.document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    tags = {tag["name"] for tag in description.document["tags"]}
    for operation in description.operations().values():
        assert operation["summary"] and set(operation["tags"]) <= tags
        for item in operation.get("parameters", []):
            assert {"name", "in", "description", "schema"} <= set(description.resolve(item))


def test_the_page_holds_the_description(directory, description):
    page = directory.get("/docs")
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    held = re.search(r'<script type="application/json" id="api">(.*?)</script>', page.text, re.DOTALL)
    assert json.loads(held.group(1)) == description.document
    assert not re.search(r'(?:src|href)="(?!data:|openapi\.json)[^"]', page.text)
    assert "default-src 'none'" in page.text


# What answers 200, per route: how to ask. The other statuses are below.
def good_replies(directory):
    one = log_in(directory, "Peer1", files_index=ENTRIES, folders=True, index_etag=CONTENT)
    yield "POST", "/login", one
    yield "POST", "/login", log_in(directory, "Peer2", files_index=ENTRIES[:2])
    yield "POST", "/login", directory.login("Peer3")
    for path, queries in {
            "/": [{}], "/healthz": [{}], "/readyz": [{}], "/metrics": [{}], "/openapi.json": [{}],
            "/docs": [{}],
            "/peers_activos": [{}, {"limit": 1}],
            "/ver_archivos": [{}, {"limit": 1}, {"partial": 1, "folders": 1}, {"content": CONTENT}],
            "/buscar_archivos": [{"filename": "a.txt"}, {"filename": "part.txt", "partial": 1},
                                 {"filename": "a.txt", "limit": 1}],
            "/buscar": [{"q": "txt"}, {"q": "txt", "partial": 1, "limit": 1, "ext": "txt"},
                        {"q": "nothing like it"}]}.items():
        for query in queries:
            yield "GET", path, directory.get(path, **query)
            assert directory.request("HEAD", path, query or None).status == 200
    yield "POST", "/buscar_archivos", directory.request(
        "POST", "/buscar_archivos?partial=1", body=b'{"filenames":["a.txt","part.txt","no"]}')
    yield "POST", "/logout", directory.request("POST", "/logout", headers=bearer(one))


def ask(directory, method, path, query=None, head=b"", body=b""):
    """One request as bytes; the reply's status, headers and JSON."""
    target = path + ("?" + query if query else "")
    with socket.create_connection(("127.0.0.1", directory.port), 60 * PATIENCE) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n".encode()
                           + head + b"\r\n" + body)
        return read_reply(connection)


class Raw:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict(line.split(": ", 1) for line in lines[1:])
        self.text = self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Raw({self.status}, {self.body[:300]!r})"


def read_reply(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    return Raw(data)


def test_every_reply_is_as_described(directory, description):
    check = description.check
    for method, path, reply in good_replies(directory):
        check(method, path, reply, 200)
    # What any request can be answered.
    for method, path in description.operations():
        check(method, path, ask(directory, method, path, head=b"Content-Length: 1\r\n"
                                b"Transfer-Encoding: chunked\r\n"), 400)
        check(method, path, ask(directory, method, path, head=b"Expect: 100-continue\r\n"
                                b"Content-Length: %d\r\n" % (BODY_MAX + 1)), 413)
        check(method, path, ask(directory, method, path, query="x=" + "a" * 66000), 414)
    # Wrong and missing arguments.
    for path, query in {"/buscar_archivos": "filename=..", "/buscar": "q=a&limit=0",
                        "/peers_activos": "limit=x", "/ver_archivos": "content=x"}.items():
        check("GET", path, ask(directory, "GET", path, query=query), 400)
    check("POST", "/buscar_archivos", ask(directory, "POST", "/buscar_archivos"), 400)
    check("POST", "/login", directory.request("POST", "/login", {
        "username": "Peer1", "password": PASSWORD, "files_index": "{"}), 400)
    for path in ("/buscar_archivos", "/buscar"):
        check("GET", path, ask(directory, "GET", path), 422)
    check("POST", "/buscar_archivos", directory.request("POST", "/buscar_archivos", body=b"{}"), 422)
    check("POST", "/login", ask(directory, "POST", "/login"), 422)
    check("POST", "/login", directory.login("Peer1", password="wrong"), 401)
    check("POST", "/logout", ask(directory, "POST", "/logout"), 401)
    check("GET", "/buscar_archivos", directory.get("/buscar_archivos", filename="no"), 404)
    check("GET", "/buscar_archivos", directory.get("/buscar_archivos", filename="part.txt",
                                                   partial=1), 404)
    check_busy(directory, description)
    assert description.seen == description.statuses(), description.seen ^ description.statuses()


def check_busy(directory, description):
    """Bodies that are on their way take all the memory there is for them: any request with a body of
    its own is then answered 503."""
    holders = []
    try:
        for _ in range(4):
            connection = socket.create_connection(("127.0.0.1", directory.port), 60 * PATIENCE)
            holders.append(connection)
            connection.sendall(b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % BODY_MAX)
            connection.sendall(b"x" * (BODY_MAX - 1))
        for method, path in description.operations():
            def busy(method=method, path=path):
                reply = ask(directory, method, path, head=b"Content-Length: 8\r\n", body=b"xxxxxxxx")
                return reply if reply.status == 503 else None

            description.check(method, path, wait_until(busy, 10, f"{path} to be busy"), 503)
    finally:
        for connection in holders:
            connection.close()
