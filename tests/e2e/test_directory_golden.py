"""Every reply of the directory, byte for byte, as existing clients know it."""

import json
import re
import socket
import urllib.parse

import pytest

import harness

JSON = "application/json"


def missing(*names):
    return {"detail": [{"type": "missing", "loc": ["query", name], "msg": "Field required",
                        "input": None} for name in names]}


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def check(reply, status, body):
    assert reply.status == status
    assert reply.headers["Content-Type"] == JSON
    assert reply.text == (body if isinstance(body, str) else compact(body))


def test_greeting(directory):
    reply = directory.get("/")
    assert reply.status == 200
    assert list(reply.json) == ["mensaje", "version"]
    assert reply.text == compact(reply.json)


def test_login(directory):
    reply = directory.login("Peer1")
    assert re.fullmatch(r'\{"status":"OK","token":"[0-9a-f]{32}","expiry_s":30,"heartbeat_s":10\}',
                        reply.text)
    assert directory.login("Peer1").text == reply.text
    assert directory.login("Peer2").json["token"] != reply.json["token"]


def test_login_tells_the_expiry(net):
    reply = net.directory(expiry=7).login("Peer1").json
    assert (reply["expiry_s"], reply["heartbeat_s"]) == (7, 2)


@pytest.mark.parametrize("username, password", [
    ("Peer1", "wrong"), ("Peer1", ""), ("", "sd1234"), ("Nobody", "sd1234"), ("Peer1\0", "sd1234"),
    ("peer1", "sd1234"), ("Peer1", "sd1234 ")])
def test_wrong_credentials(directory, username, password):
    check(directory.login(username, password), 401, {"detail": "Usuario o contraseña incorrectos"})
    assert directory.peers() == []


@pytest.mark.parametrize("query, names", [
    ({}, ["username", "password"]), ({"username": "Peer1"}, ["password"]),
    ({"password": "sd1234"}, ["username"]), ({"files_index": "["}, ["username", "password"])])
def test_missing_credentials(directory, query, names):
    check(directory.request("POST", "/login", query), 422, missing(*names))


@pytest.mark.parametrize("files_index", [
    "", "x", "[", "{}", "7", "null", '"[]"', "[7]", "[{}]", '[{"filename":7}]', '[{"url":[]}]',
    '[{"filename":"a","url":"b"}]', '[{"filename":"a","url":[7]}]', '[{"filename":"a/b"}]',
    '[{"filename":".."}]', '[{"filename":""}]', '[{"filename":"a\\u0000"}]',
    '[{"filename":"a\\n"}]', '[{"filename":"good"},{"filename":"a/b"}]', "[" * 10000])
def test_bad_index(directory, files_index):
    directory.login("Peer1", files=["before"])
    query = {"username": "Peer1", "password": "sd1234", "files_index": files_index}
    check(directory.request("POST", "/login", query), 400,
          {"detail": "Formato inválido en files_index"})
    assert directory.files_of("Peer1") == ["before"]
    assert directory.peers() == ["Peer1"]
    query["password"] = "wrong"
    assert directory.request("POST", "/login", query).status == 401


def test_login_without_an_index_keeps_it(directory):
    directory.login("Peer1", files=["a.txt"])
    directory.login("Peer1")
    assert directory.files_of("Peer1") == ["a.txt"]


def test_an_index_replaces_the_last(directory):
    directory.login("Peer1", files=["a.txt", "b.txt"])
    directory.login("Peer1", files=["b.txt", "c.txt"])
    assert directory.files_of("Peer1") == ["b.txt", "c.txt"]
    assert directory.get("/buscar_archivos", filename="a.txt").status == 404
    directory.login("Peer1", files=[])
    check(directory.get("/ver_archivos"), 200, '{"archivos":[]}')


def test_search(directory):
    directory.login("Peer1", files=["F"], url=[])
    directory.login("Peer2", files=["F", "G"], url=["172.28.0.4:8002"])
    check(directory.get("/buscar_archivos", filename="F"), 200,
          '{"archivo":"F","disponible_en":[{"peer":"Peer1","url":[]},'
          '{"peer":"Peer2","url":["172.28.0.4:8002"]}]}')
    check(directory.get("/buscar_archivos", filename="G"), 200,
          '{"archivo":"G","disponible_en":[{"peer":"Peer2","url":["172.28.0.4:8002"]}]}')


def test_search_for_nothing(directory):
    check(directory.get("/buscar_archivos", filename="F"), 404,
          {"detail": "Archivo 'F' no encontrado"})
    check(directory.get("/buscar_archivos", filename=""), 404,
          {"detail": "Archivo '' no encontrado"})
    check(directory.get("/buscar_archivos"), 422, missing("filename"))
    check(directory.get("/buscar_archivos", other="F"), 422, missing("filename"))


def test_files_of_a_peer_that_is_away(net):
    directory = net.directory(expiry=1)
    directory.login("Peer1", files=["F"])
    harness.wait_until(lambda: directory.peers() == [], 5, "the expiry")
    check(directory.get("/buscar_archivos", filename="F"), 404,
          {"detail": "Archivo 'F' encontrado pero los peers no están activos"})
    check(directory.get("/ver_archivos"), 200,
          '{"archivos":[{"peer":"Peer1","filename":"F","url":[]}]}')


def test_lists(directory):
    check(directory.get("/peers_activos"), 200, '{"peers":[]}')
    check(directory.get("/ver_archivos"), 200, '{"archivos":[]}')
    directory.login("Peer3", files=["ñ \"1\".txt"], url=["h:1"])
    directory.login("Peer1", files=["b", "a"])
    directory.login("Peer3")
    check(directory.get("/peers_activos"), 200, '{"peers":["Peer3","Peer1"]}')
    check(directory.get("/ver_archivos"), 200,
          '{"archivos":[{"peer":"Peer3","filename":"ñ \\"1\\".txt","url":["h:1"]},'
          '{"peer":"Peer1","filename":"a","url":[]},{"peer":"Peer1","filename":"b","url":[]}]}')


@pytest.mark.parametrize("path", ["/x", "/login/", "//", "/Login", "/peers_activos/x", "/login%2f"])
def test_unknown_path(directory, path):
    for method in ("GET", "POST", "DELETE"):
        check(directory.request(method, path), 404, {"detail": "Not Found"})


@pytest.mark.parametrize("path, wrong, allow", [
    ("/", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"], "GET, HEAD"),
    ("/login", ["GET", "HEAD", "PUT", "DELETE"], "POST"),
    ("/buscar_archivos", ["PUT", "DELETE"], "GET, HEAD, POST"),
    ("/peers_activos", ["POST", "PUT"], "GET, HEAD"),
    ("/ver_archivos", ["POST", "PATCH"], "GET, HEAD")])
def test_wrong_method(directory, path, wrong, allow):
    for method in wrong:
        reply = directory.request(method, path)
        assert reply.status == 405
        assert reply.headers["Allow"] == allow
        if method != "HEAD":
            check(reply, 405, {"detail": "Method Not Allowed"})


@pytest.mark.parametrize("path", ["/", "/peers_activos", "/ver_archivos", "/buscar_archivos?filename=F"])
def test_head(directory, path):
    directory.login("Peer1", files=["F"])
    head, get = directory.request("HEAD", path), directory.request("GET", path)
    assert head.status == get.status == 200
    assert head.body == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("name", ["archivo con espacios.txt", "ñandú ✅.txt", "a+b&c=d%20.txt", "'\"<>\\",
                                  "x" * 255, "é" * 127, "-", "~", " "])
def test_names_in_every_spelling(directory, name):
    directory.login("Peer1", files=[name])
    plus, percent = urllib.parse.quote_plus(name), urllib.parse.quote(name, safe="")
    everything = "".join(f"%{byte:02x}" for byte in name.encode())
    for spelling in (plus, percent, everything):
        reply = directory.request("GET", "/buscar_archivos?filename=" + spelling)
        check(reply, 200, {"archivo": name, "disponible_en": [{"peer": "Peer1", "url": []}]})


def test_raw_bytes_in_the_url(directory):
    directory.login("Peer1", files=["ñ.txt"])
    with socket.create_connection(("127.0.0.1", directory.port)) as connection:
        connection.sendall("GET /buscar_archivos?filename=ñ.txt HTTP/1.0\r\n\r\n".encode())
        assert b'{"archivo":"\xc3\xb1.txt"' in connection.makefile("rb").read()


def test_absolute_form(directory):
    with socket.create_connection(("127.0.0.1", directory.port)) as connection:
        connection.sendall(b"GET http://h:8000/peers_activos?x HTTP/1.1\r\nHost: h\r\n"
                           b"Connection: close\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b'\r\n\r\n{"peers":[]}')


def test_form_and_json_bodies(directory):
    form = urllib.parse.urlencode({"username": "Peer1", "password": "sd1234",
                                   "files_index": '[{"filename":"a b","url":["h:1"]}]'})
    reply = directory.request("POST", "/login", body=form.encode(), headers={
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert reply.status == 200
    body = {"username": "Peer2", "password": "sd1234", "files_index": [{"filename": "c"}]}
    headers = {"Content-Type": "application/json"}
    assert directory.request("POST", "/login", body=json.dumps(body).encode(),
                             headers=headers).status == 200
    assert directory.files_of("Peer1") == ["a b"] and directory.files_of("Peer2") == ["c"]
    body["files_index"] = '[{"filename":"d"}]'
    assert directory.request("POST", "/login", body=json.dumps(body).encode(),
                             headers=headers).status == 200
    assert directory.files_of("Peer2") == ["d"]
    body["files_index"] = None
    assert directory.request("POST", "/login", body=json.dumps(body).encode(),
                             headers=headers).status == 200
    assert directory.files_of("Peer2") == ["d"]


@pytest.mark.parametrize("body, status", [
    (b"", 422), (b"{}", 422), (b"[]", 400), (b"x", 400), (b'{"username":7,"password":"x"}', 400),
    (b'{"username":"Peer1"}', 422), (b'{"username":"Peer1","password":"no"}', 401),
    (b'{"username":"Peer1","password":"sd1234","files_index":{}}', 400),
    (b'{"username":"Peer1","password":"sd1234","files_index":7}', 400),
    (b'{"username":"Peer1","password":"\xff"}', 400)])
def test_json_bodies_that_are_wrong(directory, body, status):
    reply = directory.request("POST", "/login", body=body, headers={"Content-Type": JSON})
    assert reply.status == status
    assert "detail" in reply.json


def test_a_body_of_another_type_is_not_read(directory):
    reply = directory.request("POST", "/login", {"username": "Peer1", "password": "sd1234"},
                              body=b"username=Peer2", headers={"Content-Type": "text/plain"})
    assert reply.status == 200
    assert directory.peers() == ["Peer1"]


def test_of_a_repeated_argument_the_last_counts(directory):
    reply = directory.request(
        "POST", "/login?username=x&username=Peer1&password=&password=sd1234&files_index=%5B")
    assert reply.status == 400
    reply = directory.request("POST", "/login?username=x&username=Peer1&password=&password=sd1234")
    assert reply.status == 200


def test_an_unknown_address_is_filled_in(directory):
    directory.login("Peer1", files=["F"], url=["0.0.0.0:8001", "[::]:8002", "10.0.0.1:8003"])
    assert directory.sources("F") == {"Peer1": ["127.0.0.1:8001", "127.0.0.1:8002", "10.0.0.1:8003"]}


def test_the_same_name_twice(directory):
    query = {"username": "Peer1", "password": "sd1234", "files_index": json.dumps(
        [{"filename": "a", "url": ["h:1"]}, {"filename": "b", "url": ["h:1"]},
         {"filename": "a", "url": ["h:2"]}])}
    assert directory.request("POST", "/login", query).status == 200
    assert directory.files_of("Peer1") == ["a", "b"]
    assert directory.sources("a") == {"Peer1": ["h:2"]}


def test_log_lines(directory):
    directory.login("Peer1", files=["uno.txt", "dos.txt"])
    directory.login("Peer1", files=["uno.txt", "dos.txt"])
    directory.login("Peer1", "secreto")
    for line in ("[API] Peer 'Peer1' se ha autenticado en la red",
                 "[API] Peer 'Peer1' indexó archivo: uno.txt",
                 "[API] Peer 'Peer1' indexó archivo: dos.txt"):
        assert directory.log.count(line) == 1
    assert "Archivo ya indexado" not in directory.log


def test_no_secret_in_the_log(net):
    directory = net.directory(expiry=1, arguments=["--log-level", "debug"])
    token = directory.login("Peer1", files=["uno.txt"]).json["token"]
    directory.login("Peer1", files=["uno.txt"])
    directory.login("Peer1", "secreto")
    directory.request("POST", "/login?password=secreto&password=%")
    directory.get("/buscar_archivos", filename="buscado")
    harness.wait_until(lambda: "se ha desconectado por inactividad" in directory.log, 5, "the expiry")
    assert "[API] Archivo ya indexado: uno.txt" in directory.log
    assert "[API] Peer 'Peer1' se ha desconectado por inactividad" in directory.log
    for secret in (token, harness.PASSWORD, "secreto", "buscado", "files_index", "%"):
        assert secret not in directory.log


def test_log_is_capped_for_long_lists(directory):
    directory.login("Peer1", files=[f"f{i}" for i in range(150)])
    assert directory.log.count("indexó archivo:") == 100
    assert "[API] Peer 'Peer1' indexó 50 archivos más" in directory.log


def test_pages_of_peers(directory):
    for number in (2, 4, 1, 3):
        directory.login(f"Peer{number}")
    first = directory.get("/peers_activos", limit=3).json
    assert first["peers"] == ["Peer2", "Peer4", "Peer1"]
    second = directory.get("/peers_activos", limit=3, cursor=first["cursor"]).json
    assert second == {"peers": ["Peer3"]}
    assert directory.get("/peers_activos", limit=4).json == {
        "peers": ["Peer2", "Peer4", "Peer1", "Peer3"]}


def test_pages_of_files(directory):
    for peer in ("Peer1", "Peer2"):
        directory.login(peer, files=[f"ñ {i:03}" for i in range(150)])
    everything = directory.get("/ver_archivos").json["archivos"]
    assert len(everything) == 300
    for limit in (1, 7, 127, 128, 129, 150, 299, 300):
        seen, cursor = [], None
        while True:
            query = {"limit": limit, **({"cursor": cursor} if cursor else {})}
            page = directory.get("/ver_archivos", **query).json
            seen += page["archivos"]
            assert len(page["archivos"]) <= limit
            cursor = page.get("cursor")
            if not cursor:
                break
            if limit == 1 and len(seen) == 5:
                break
        assert seen == everything[:len(seen)]
        assert limit == 1 or len(seen) == 300


@pytest.mark.parametrize("path", ["/ver_archivos", "/peers_activos"])
@pytest.mark.parametrize("query", [
    {"limit": "0"}, {"limit": "x"}, {"limit": ""}, {"limit": "10001"}, {"limit": "-1"}, {"cursor": "x"},
    {"limit": "1\0"}])
def test_wrong_pages(directory, path, query):
    reply = directory.get(path, **query)
    assert reply.status == 400
    assert list(reply.json) == ["detail"]
