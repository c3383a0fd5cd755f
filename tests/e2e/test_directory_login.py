"""Logins that say what list the directory should have (index_etag) instead of sending it."""

import http.client
import json
import random
import re
import threading
import urllib.parse

import pytest

import harness
from index_sums import etag

ID = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
URL = ["10.0.0.1:8001"]
OLD_REPLY = re.compile(r'\{"status":"OK","token":"[0-9a-f]{32}","expiry_s":30,"heartbeat_s":10\}')


def entry(name, **known):
    return {"filename": name, "url": URL, **known}


def login(directory, entries=None, peer="Peer1", **more):
    if entries is not None:
        more["files_index"] = json.dumps(entries)
    return directory.login(peer, **more)


def from_address(directory, source, **more):
    """A login of Peer1 over a connection from another address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", directory.port, timeout=10,
                                            source_address=(source, 0))
    query = urllib.parse.urlencode({"username": "Peer1", "password": harness.PASSWORD, **more})
    connection.request("POST", "/login?" + query)
    reply = connection.getresponse()
    result = harness.Reply(reply.status, reply.headers, reply.read())
    connection.close()
    return result


def needed(reply):
    """True, False, or None when the reply does not say."""
    assert reply.status == 200, reply
    return reply.json.get("index_needed")


def test_who_sends_no_etag_is_answered_as_ever(directory):
    for reply in [login(directory), login(directory, [entry("a")]), login(directory, [entry("a")]),
                  login(directory, [])]:
        assert OLD_REPLY.fullmatch(reply.text)


def test_an_etag_stands_for_the_list(directory):
    files = [entry("a"), entry("b", size=7, content=ID)]
    assert needed(login(directory, index_etag=etag(files))) is True
    assert needed(login(directory, files, index_etag=etag(files))) is False
    reply = login(directory, index_etag=etag(files))
    assert reply.text.endswith(',"heartbeat_s":10,"index_needed":false}')
    assert needed(login(directory, index_etag=etag(files[:1]))) is True
    assert directory.files_of("Peer1") == ["a", "b"]
    login(directory, [])  # by somebody who knows nothing of etags
    assert needed(login(directory, index_etag=etag(files))) is True
    assert needed(login(directory, index_etag=etag([]))) is False


def test_lists_of_every_shape_have_the_sum_of_the_definition(directory):
    numbers = random.Random(7)
    for _ in range(50):
        files = [
            {"filename": name,
             **numbers.choice([{}, {"url": URL}, {"url": ["0.0.0.0:1"]}, {"url": ["h:1", "", "ñ"]}]),
             **numbers.choice([{}, {"size": numbers.randrange(2 ** 53)}, {"size": 0}]),
             **numbers.choice([{}, {"content": ID}, {"size": 1, "content": ID, "partial": True}])}
            for name in numbers.sample(["a", "b", "ñandú", "日本", "x y"], 3)]
        for item in files:
            item.setdefault("url", [])
        assert needed(login(directory, files, index_etag=etag(files))) is False
        assert needed(login(directory, index_etag=etag(files))) is False


def test_bodies_carry_it_too(directory):
    files = [entry("a")]
    login(directory, files)
    for tag, says in [(etag(files), False), (etag([]), True)]:
        fields = {"username": "Peer1", "password": "sd1234", "index_etag": tag}
        for body, kind in [(json.dumps(fields), "application/json"),
                           (urllib.parse.urlencode(fields), "application/x-www-form-urlencoded")]:
            reply = directory.request("POST", "/login", body=body.encode(),
                                      headers={"Content-Type": kind})
            assert needed(reply) is says


@pytest.mark.parametrize("tag", ["", "0", "A" * 64, "0" * 63, "0" * 65, "g" * 64, "0" * 63 + "\0"])
def test_what_is_no_etag(directory, tag):
    reply = login(directory, index_etag=tag)
    assert reply.status == 400
    assert reply.json == {
        "detail": "index_etag debe tener 64 dígitos hexadecimales en minúscula"}
    assert directory.peers() == []


def test_the_password_is_asked_first(directory):
    assert directory.login("Peer1", password="x", index_etag="wrong").status == 401


def test_a_list_with_another_etag_is_stored_and_told(directory):
    for _ in range(2):
        assert needed(login(directory, [entry("a")], index_etag=etag([]))) is True
        assert directory.files_of("Peer1") == ["a"]
    assert needed(login(directory, index_etag=etag([entry("a")]))) is False


def test_an_unknown_address_is_known_only_from_there(net):
    directory = net.directory()
    files = [{"filename": "a", "url": ["0.0.0.0:8001"]}]
    assert needed(login(directory, files, index_etag=etag(files))) is False
    assert needed(login(directory, index_etag=etag(files))) is False
    assert needed(from_address(directory, "127.0.0.2", index_etag=etag(files))) is True
    assert directory.sources("a") == {"Peer1": ["127.0.0.1:8001"]}
    body = {"files_index": json.dumps(files), "index_etag": etag(files)}
    assert needed(from_address(directory, "127.0.0.2", **body)) is False
    assert directory.sources("a") == {"Peer1": ["127.0.0.2:8001"]}
    assert needed(from_address(directory, "127.0.0.2", index_etag=etag(files))) is False
    assert needed(login(directory, index_etag=etag(files))) is True
    known = [entry("a")]  # an address of the peer's own holds from anywhere
    assert needed(login(directory, known, index_etag=etag(known))) is False
    assert needed(from_address(directory, "127.0.0.2", index_etag=etag(known))) is False


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_it_survives_a_restart(directory, how):
    files = [{"filename": "a", "url": ["0.0.0.0:8001"]}]
    login(directory, files)
    getattr(directory, how)()
    directory.start()
    assert needed(login(directory, index_etag=etag(files))) is False
    assert needed(from_address(directory, "127.0.0.2", index_etag=etag(files))) is True


def test_who_comes_back_need_not_send_it_again(net):
    directory = net.directory(expiry=1)
    files = [entry("a")]
    token = login(directory, files).json["token"]
    harness.wait_until(lambda: directory.peers() == [], 10, "Peer1 to expire")
    reply = login(directory, index_etag=etag(files))
    assert needed(reply) is False and reply.json["token"] != token
    assert directory.sources("a") == {"Peer1": URL}


def test_one_name_from_two_places(directory):
    """The last one wins, and both are told."""
    here, there = [entry("here")], [entry("there")]
    assert "other_address" not in login(directory, here).json
    reply = from_address(directory, "127.0.0.2", files_index=json.dumps(there))
    assert reply.text.endswith(',"other_address":"127.0.0.1"}')
    assert directory.files_of("Peer1") == ["there"]
    assert "other_address" not in from_address(directory, "127.0.0.2").json
    for _ in range(3):
        assert login(directory, index_etag=etag(here)).json["other_address"] == "127.0.0.2"
        assert from_address(directory, "127.0.0.2").json["other_address"] == "127.0.0.1"
    assert directory.log.count("'Peer1' logs in from") == 1
    assert directory.peers() == ["Peer1"]


def test_one_name_from_two_places_at_once(directory):
    """Both send their lists whenever they are asked: each is taken whole, and both learn of the other."""
    lists = {f"127.0.0.{place}": [entry(f"{place} {number}") for number in range(place)]
             for place in (2, 3)}
    tokens, seen, problems, others = set(), set(), [], {place: set() for place in lists}
    going = set(lists)

    def beat(place, **more):
        reply = from_address(directory, place, index_etag=etag(lists[place]), **more)
        tokens.add(reply.json["token"])
        others[place].add(reply.json.get("other_address"))
        return needed(reply)

    def share(place):
        try:
            for _ in range(60):
                if beat(place):
                    assert beat(place, files_index=json.dumps(lists[place])) is False
        except BaseException as problem:
            problems.append(problem)
        going.discard(place)

    threads = [threading.Thread(target=share, args=(place,)) for place in lists]
    for thread in threads:
        thread.start()
    while going:
        seen.add(tuple(directory.files_of("Peer1")))
    for thread in threads:
        thread.join()
    assert not problems, problems
    assert seen - {()} == {tuple(item["filename"] for item in files) for files in lists.values()}
    for place, other in zip(lists, reversed(lists)):
        assert other in others[place] and others[place] <= {None, other}
    assert len(tokens) == 1 and directory.peers() == ["Peer1"]
    for place, other in zip(lists, reversed(lists)):
        if beat(place):
            beat(place, files_index=json.dumps(lists[place]))
        assert directory.files_of("Peer1") == [item["filename"] for item in lists[place]]
        assert beat(other) is True
    assert directory.log.count("'Peer1' logs in from") == 1
