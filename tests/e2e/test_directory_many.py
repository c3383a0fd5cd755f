"""One question for many names: POST /buscar_archivos."""

import json

import pytest

import harness

NAMES = "filenames debe ser una lista de 500 nombres de archivo como máximo"
BODY = "El cuerpo de la petición no es un objeto JSON válido"


def post(directory, body, **query):
    """body: text or bytes as they are, else the list of names."""
    if isinstance(body, list):
        body = json.dumps({"filenames": body})
    data = body.encode() if isinstance(body, str) else body
    return directory.request("POST", "/buscar_archivos", query or None, body=data,
                             headers={"Content-Type": "application/json"}, timeout=60)


def check(reply, status, body):
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.text == json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def index(directory, peer, *entries):
    assert directory.login(peer, files_index=json.dumps(entries), folders="1").status == 200


def test_each_name_is_answered_as_by_itself(directory):
    content = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
    index(directory, "Peer1", {"filename": "ñ \"1\".txt", "url": ["h:1"], "size": 7, "content": content},
          {"filename": "b", "url": ["h:9"]}, {"filename": "sub/c", "url": ["h:1"]},
          {"filename": "part", "url": ["h:1"], "size": 7, "content": content, "partial": True})
    index(directory, "Peer2", {"filename": "b", "url": []})
    for query, names in (({}, ["b", "ñ \"1\".txt"]), ({"folders": 1}, ["b", "sub/c"]),
                         ({"partial": 1}, ["b", "part"])):
        alone = [directory.get("/buscar_archivos", filename=name, **query).text for name in names]
        reply = post(directory, names[::-1] + ["nobody", "", "b"], **query)
        assert reply.status == 200
        assert reply.text == '{"archivos":[' + ",".join(alone) + "]}"
    assert post(directory, ["part", "nobody"]).text == '{"archivos":[]}'
    assert post(directory, []).text == '{"archivos":[]}'


def test_peers_that_are_away_are_left_out(net):
    directory = net.directory(expiry=1)
    directory.login("Peer1", files=["F", "G"])
    harness.wait_until(lambda: directory.peers() == [], 5, "the expiry")
    directory.login("Peer2", files=["G"])
    check(post(directory, ["F", "G"]), 200,
          {"archivos": [{"archivo": "G", "disponible_en": [{"peer": "Peer2", "url": []}]}]})


@pytest.mark.parametrize("body, detail", [
    ("", BODY), ("x", BODY), ('{"filenames":["a"]', BODY), ('["a"]', BODY), ("7", BODY),
    (b'{"filenames":["\xff"]}', BODY), ('{"filenames":["a\\u0000"]}', BODY), ("[" * 10000, BODY),
    ('{"filenames":' + "[" * 60 + "]" * 60 + "}", NAMES), ('{"filenames":"a"}', NAMES),
    ('{"filenames":{"a":"b"}}', NAMES), ('{"filenames":["a",7]}', NAMES),
    ('{"filenames":["a",null]}', NAMES), (["a"] * 501, NAMES)])
def test_what_is_no_list_of_names(directory, body, detail):
    directory.login("Peer1", files=["a"])
    check(post(directory, body), 400, {"detail": detail})


def test_no_list_at_all(directory):
    check(post(directory, "{}"), 422, {"detail": [
        {"type": "missing", "loc": ["body", "filenames"], "msg": "Field required", "input": None}]})


@pytest.mark.parametrize("name", ["..", "a/b", "a\n", "x" * 256, "\u009b"])
def test_a_bad_name_among_good_ones(directory, name):
    directory.login("Peer1", files=["a", "z"])
    alone = directory.get("/buscar_archivos", filename=name)
    reply = post(directory, ["a", name, "z"])
    assert (reply.status, reply.text) == (400, alone.text)


def test_bad_arguments(directory):
    check(post(directory, ["a"], partial="2"), 400, {"detail": "partial debe ser 0 o 1"})
    check(post(directory, ["a"], folders="x"), 400, {"detail": "folders debe ser 0 o 1"})
    check(directory.request("POST", "/buscar_archivos?x=%", body=b"{}"), 400,
          {"detail": "Codificación por ciento inválida"})


@pytest.mark.parametrize("size", [(1 << 20) + 1, 65 << 20])
def test_a_huge_body(directory, size):
    check(post(directory, b" " * size), 413,
          {"detail": "El cuerpo de la petición es demasiado grande"})
    assert directory.get("/").status == 200


def test_the_longest_question(directory):
    """500 of the longest paths, escaped as Python does; all are there."""
    names = [f"{'ñ' * 127}/{'ñ' * 126}{i:03}" for i in range(500)]
    files = [{"filename": name, "url": ["172.28.0.4:8002"]} for name in names]
    body = json.dumps({"username": "Peer1", "password": "sd1234", "folders": True,
                       "files_index": files}).encode()
    assert directory.request("POST", "/login", body=body, headers={
        "Content-Type": "application/json"}).status == 200
    reply = post(directory, names, folders=1)
    assert [entry["archivo"] for entry in reply.json["archivos"]] == names
    assert all(entry["disponible_en"] == [{"peer": "Peer1", "url": ["172.28.0.4:8002"]}]
               for entry in reply.json["archivos"])
