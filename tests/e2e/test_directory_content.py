"""Sizes and content ids of files: from files_index to the answers, over restarts and versions."""

import json
import sqlite3
import urllib.parse

import pytest

ID = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
OTHER = "a2b9f0d6594982a95aadbe37fdfa8b741875e65837384e7094f1193e2dbd4ded"
URL = ["10.0.0.1:8001"]

VERSION_1 = """
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE peers(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token TEXT NOT NULL,
 seen_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, urls TEXT NOT NULL DEFAULT '[]', digest BLOB);
CREATE TABLE files(name TEXT NOT NULL, peer_id INTEGER NOT NULL, urls TEXT,
 PRIMARY KEY(name, peer_id)) WITHOUT ROWID;
CREATE INDEX files_by_peer ON files(peer_id, name, urls);
CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id=1345474628;
PRAGMA user_version=1;
INSERT INTO peers VALUES(1, 'Peer1', '0123456789abcdef0123456789abcdef', 100, 1, '["h:1"]', NULL);
INSERT INTO files VALUES('a', 1, NULL), ('b', 1, '["h:2"]');
COMMIT;
"""


def entry(name, **known):
    return {"filename": name, "url": URL, **known}


def login(directory, *entries, peer="Peer1"):
    return directory.login(peer, files_index=json.dumps(entries))


def found(directory, name):
    """What follows the url, as text."""
    reply = directory.get("/buscar_archivos", filename=name)
    head = f'{{"archivo":"{name}","disponible_en":[{{"peer":"Peer1","url":["10.0.0.1:8001"]'
    assert reply.text.startswith(head) and reply.text.endswith("}]}")
    return reply.text[len(head):-len("}]}")]


@pytest.mark.parametrize("known, expected", [
    ({}, ""),
    ({"size": None, "content": None}, ""),
    ({"size": 0}, ',"size":0'),
    ({"size": 2 ** 53}, ',"size":9007199254740992'),
    ({"content": ID}, f',"content":"{ID}"'),
    ({"content": ID, "size": 3670016}, f',"size":3670016,"content":"{ID}"'),
])
def test_what_is_known_is_answered_after_the_url(directory, known, expected):
    assert login(directory, entry("a", **known)).status == 200
    assert found(directory, "a") == expected
    assert directory.get("/ver_archivos").text == (
        '{"archivos":[{"peer":"Peer1","filename":"a","url":["10.0.0.1:8001"]' + expected + "}]}")


@pytest.mark.parametrize("known", [
    {"size": -1}, {"size": 1.5}, {"size": "7"}, {"size": True}, {"size": 2 ** 53 + 2}, {"size": []},
    {"content": ""}, {"content": 7}, {"content": ID.upper()}, {"content": ID[:-1]},
    {"content": ID + "0"}, {"content": ID[:-1] + "g"}, {"content": [ID]}])
def test_a_wrong_shape_changes_nothing(directory, known):
    login(directory, entry("before", size=1, content=ID))
    reply = login(directory, entry("before"), entry("after", **known))
    assert reply.status == 400
    assert reply.json == {"detail": "Formato inválido en files_index"}
    assert found(directory, "before") == f',"size":1,"content":"{ID}"'
    assert directory.files_of("Peer1") == ["before"]


def test_a_list_that_only_gains_or_loses_what_is_known_is_stored(directory):
    for known, expected in [({}, ""), ({"size": 7}, ',"size":7'),
                            ({"size": 7, "content": ID}, f',"size":7,"content":"{ID}"'),
                            ({"size": 7, "content": OTHER}, f',"size":7,"content":"{OTHER}"'),
                            ({"size": 8, "content": OTHER}, f',"size":8,"content":"{OTHER}"'),
                            ({}, "")]:
        for _ in range(2):
            assert login(directory, entry("a", **known), entry("b")).status == 200
            assert (found(directory, "a"), found(directory, "b")) == (expected, "")


def test_bodies_carry_them_too(directory):
    fields = {"username": "Peer1", "password": "sd1234"}
    body = json.dumps({**fields, "files_index": [entry("a", size=7, content=ID)]}).encode()
    directory.request("POST", "/login", body=body, headers={"Content-Type": "application/json"})
    assert found(directory, "a") == f',"size":7,"content":"{ID}"'
    form = urllib.parse.urlencode({**fields, "files_index": json.dumps([entry("a", content=OTHER)])})
    directory.request("POST", "/login", body=form.encode(),
                      headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert found(directory, "a") == f',"content":"{OTHER}"'


def test_each_peer_says_for_itself(directory):
    login(directory, entry("a", size=7, content=ID))
    login(directory, entry("a"), peer="Peer2")
    login(directory, entry("a", size=9), peer="Peer3")
    assert directory.get("/buscar_archivos", filename="a").json["disponible_en"] == [
        {"peer": "Peer1", "url": URL, "size": 7, "content": ID}, {"peer": "Peer2", "url": URL},
        {"peer": "Peer3", "url": URL, "size": 9}]


def test_they_survive_a_restart(directory):
    login(directory, entry("a", size=7, content=ID), entry("b"))
    directory.kill()
    directory.start()
    assert found(directory, "a") == f',"size":7,"content":"{ID}"'
    assert found(directory, "b") == ""
    login(directory, entry("a"), entry("b", size=1))
    assert (found(directory, "a"), found(directory, "b")) == ("", ',"size":1')


def test_a_database_of_version_1_goes_on(net):
    directory = net.directory()
    directory.terminate()
    for leftover in directory.database.parent.glob(directory.database.name + "*"):
        leftover.unlink()
    database = sqlite3.connect(directory.database)
    database.executescript(VERSION_1)
    database.close()
    directory.start()
    assert directory.get("/ver_archivos").text == (
        '{"archivos":[{"peer":"Peer1","filename":"a","url":["h:1"]},'
        '{"peer":"Peer1","filename":"b","url":["h:2"]}]}')
    login(directory, entry("a", size=7, content=ID), entry("b"))
    assert (found(directory, "a"), found(directory, "b")) == (f',"size":7,"content":"{ID}"', "")


def test_what_is_partial_is_told_only_to_who_asks(directory):
    part = f',"size":7,"content":"{ID}","partial":true'
    login(directory, entry("a", size=7, content=ID, partial=True), entry("b"))
    nobody = directory.get("/buscar_archivos", filename="a")
    assert (nobody.status, nobody.json) == (404, {"detail": "Archivo 'a' no encontrado"})
    assert directory.get("/buscar_archivos", filename="a", partial="0").status == 404
    asked = directory.get("/buscar_archivos", filename="a", partial="1")
    assert asked.text == ('{"archivo":"a","disponible_en":[{"peer":"Peer1","url":["10.0.0.1:8001"]'
                          + part + "}]}")
    assert directory.files_of("Peer1") == ["b"]
    assert part in directory.get("/ver_archivos", partial="1").text
    assert directory.get("/buscar_archivos", filename="a", partial="2").status == 400
    login(directory, entry("a", size=7, content=ID), entry("b"))  # it is whole now
    assert found(directory, "a") == f',"size":7,"content":"{ID}"'
    assert directory.files_of("Peer1") == ["a", "b"]


def test_files_of_one_content(directory):
    other = ID[::-1]
    login(directory, entry("a", size=7, content=ID), entry("b", size=7, content=other), entry("c"),
          entry("d", size=7, content=ID, partial=True), entry("e", size=7, content=ID))
    login(directory, entry("z", size=7, content=ID), peer="Peer2")

    def of(**query):
        reply = directory.get("/ver_archivos", **query).json
        return [(file["peer"], file["filename"]) for file in reply["archivos"]], reply.get("cursor")

    assert of(content=ID) == ([("Peer1", "a"), ("Peer1", "e"), ("Peer2", "z")], None)
    assert of(content=other) == ([("Peer1", "b")], None)
    assert of(content="0" * 64) == ([], None)
    assert of(content=ID, partial="1")[0][1] == ("Peer1", "d")
    first, cursor = of(content=ID, limit="2")
    assert (first, of(content=ID, limit="2", cursor=cursor)) == (
        [("Peer1", "a"), ("Peer1", "e")], ([("Peer2", "z")], None))
    for wrong in (ID.upper(), ID[1:], "x" * 64):
        assert directory.get("/ver_archivos", content=wrong).json == {
            "detail": "content debe ser 64 dígitos hexadecimales en minúscula"}


def test_a_needle_in_a_large_directory(directory):
    straw = [entry(f"a{number:05}", size=7, content=ID[::-1]) for number in range(20000)]
    form = urllib.parse.urlencode({
        "username": "Peer1", "password": "sd1234",
        "files_index": json.dumps([*straw, entry("b", size=7, content=ID)])})
    told = directory.request("POST", "/login", body=form.encode(),
                             headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert told.status == 200
    found = directory.get("/ver_archivos", content=ID)
    assert [file["filename"] for file in found.json["archivos"]] == ["b"]
    assert found.text.startswith('{"archivos":[  {')  # others had two turns meanwhile


def test_a_list_goes_on_past_what_is_hidden(directory):
    hidden = {letter: [entry(f"{letter}{number:04}", size=7, content=ID, partial=True)
                       for number in range(400)] for letter in "ac"}
    form = urllib.parse.urlencode({
        "username": "Peer1", "password": "sd1234",
        "files_index": json.dumps([*hidden["a"], entry("b"), *hidden["c"], entry("d")])})
    told = directory.request("POST", "/login", body=form.encode(),
                             headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert told.status == 200
    assert directory.files_of("Peer1") == ["b", "d"]
    first = directory.get("/ver_archivos", limit="1").json
    assert [file["filename"] for file in first["archivos"]] == ["b"]
    rest = directory.get("/ver_archivos", limit="1", cursor=first["cursor"]).json
    assert [file["filename"] for file in rest["archivos"]] == ["d"] and "cursor" not in rest
    assert len(directory.get("/ver_archivos", partial="1").json["archivos"]) == 802
