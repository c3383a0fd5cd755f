"""GET /buscar: files by words in their names, against a plain look at every name."""

import json
import random
import sqlite3
import time
import unicodedata

import pytest

import harness
from test_directory_content import VERSION_1

ID = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
OTHER = "a2b9f0d6594982a95aadbe37fdfa8b741875e65837384e7094f1193e2dbd4ded"
URL = ["10.0.0.1:8001"]
TILDE = "\u0303"


def login(directory, peer, *entries):
    """By the body: lists of any length. An entry is a name, or a name and what is known of it."""
    files = [{"filename": entry, "url": URL} if isinstance(entry, str) else
             {"filename": entry[0], "url": URL, **entry[1]} for entry in entries]
    body = json.dumps({"username": peer, "password": "sd1234", "files_index": files}).encode()
    reply = directory.request("POST", "/login", {"folders": 1}, body=body, timeout=60,
                              headers={"Content-Type": "application/json"})
    assert reply.status == 200


def pages(directory, q, **query):
    cursor = {}
    while True:
        reply = directory.get("/buscar", q=q, **query, **cursor)
        assert reply.status == 200, reply.text
        assert set(reply.json) <= {"archivos", "cursor"}
        yield reply.json["archivos"]
        if "cursor" not in reply.json:
            return
        cursor = {"cursor": reply.json["cursor"]}


def hits(directory, q, **query):
    return [hit for page in pages(directory, q, **query) for hit in page]


def names(directory, q, **query):
    return [hit["archivo"] for hit in hits(directory, q, **query)]


# ---- what a hit is ----

def test_a_hit(directory):
    login(directory, "Peer1", ("Canción de cuna.mp3", {"size": 7, "content": ID}))
    login(directory, "Peer2", ("Canción de cuna.mp3", {"size": 7, "content": ID}),
          ("otra cosa", {}))
    for q, text in (
            ("cuna CANCION",
             '{"archivos":[{"archivo":"Canción de cuna.mp3","size":7,"content":"' + ID + '","peers":2,'
             '"disponible_en":[{"peer":"Peer1","url":["10.0.0.1:8001"]},'
             '{"peer":"Peer2","url":["10.0.0.1:8001"]}]}]}'),
            ("cosa", '{"archivos":[{"archivo":"otra cosa","peers":1,'
                     '"disponible_en":[{"peer":"Peer2","url":["10.0.0.1:8001"]}]}]}'),
            ("nada", '{"archivos":[]}')):
        # A page ends after 20 ms, also where others have the processor meanwhile.
        assert any(directory.get("/buscar", q=q).text == text for _ in range(20)), q


def test_each_content_is_a_hit(directory):
    login(directory, "Peer1", ("a.txt", {"size": 1, "content": ID}))
    login(directory, "Peer2", ("a.txt", {"size": 2, "content": OTHER}))
    login(directory, "Peer3", "a.txt")
    login(directory, "Peer4", ("a.txt", {"size": 1, "content": ID}))
    found = hits(directory, "a.txt")
    assert sorted((hit.get("size"), hit.get("content"), hit["peers"]) for hit in found[1:]) == [
        (1, ID, 2), (2, OTHER, 1)]
    assert found[0] == {"archivo": "a.txt", "peers": 1,
                        "disponible_en": [{"peer": "Peer3", "url": URL}]}
    for limit in (1, 2, 3):
        some = list(pages(directory, "a.txt", limit=limit))
        assert all(len(page) <= limit for page in some)
        assert [hit for page in some for hit in page] == found


def test_only_what_live_peers_share(net):
    directory = net.directory(expiry=2)
    login(directory, "Peer1", "común", "uno")
    login(directory, "Peer2", "común", "dos")
    end = time.monotonic() + 20
    while "Peer1" in directory.peers():
        directory.login("Peer2")
        assert time.monotonic() < end
        time.sleep(0.2)
    directory.login("Peer2")
    assert names(directory, "o") == ["común", "dos"]
    assert hits(directory, "comun")[0]["peers"] == 1
    assert names(directory, "uno") == []


def test_what_is_replaced_is_found_no_more(directory):
    login(directory, "Peer1", "viejo.txt", "queda.txt")
    login(directory, "Peer2", "viejo.txt")
    login(directory, "Peer1", "queda.txt", "nuevo.txt")
    assert names(directory, "txt") == ["queda.txt", "viejo.txt", "nuevo.txt"]
    login(directory, "Peer2", "x")
    assert sorted(names(directory, "txt")) == ["nuevo.txt", "queda.txt"]
    assert names(directory, "viejo") == []
    login(directory, "Peer2", "viejo.txt")
    assert names(directory, "viejo") == ["viejo.txt"]


@pytest.mark.parametrize("q, found", [
    ("canción", ["CANCIÓN.mp3", "cancion", "canciones"]), ("CANCIO", ["CANCIÓN.mp3", "cancion", "canciones"]),
    ("mp3 can", ["CANCIÓN.mp3"]), ("can mp3", ["CANCIÓN.mp3"]), ("can -mp3", ["cancion", "canciones"]),
    ("can -mp3 -ES", ["cancion"]), ("an", ["CANCIÓN.mp3", "ano", "cancion", "canciones"]),
    ("ano", ["ano"]), ("año", ["AÑO", "an\u0303o"]), ("AN\u0303O", ["AÑO", "an\u0303o"]), ("ñ", ["AÑO", "an\u0303o"]),
    ("n", ["CANCIÓN.mp3", "ano", "cancion", "canciones"]), ("-", ["a-b"]), ("-a", ["音楽.ogg"]),
    ("楽", ["音楽.ogg"]), ("音楽", ["音楽.ogg"]), ("STRASSE", ["straße a"]), ("ss", ["straße a"]),
    ("\u3000mp3\u00a0", ["CANCIÓN.mp3"]), ("can can", ["CANCIÓN.mp3", "cancion", "canciones"]),
    ("\"", ["a\"b*"]), ("\"b*", ["a\"b*"]), ("can\u0301", ["CANCIÓN.mp3", "cancion", "canciones"]),
])
def test_words(directory, q, found):
    login(directory, "Peer1", "CANCIÓN.mp3", "cancion", "canciones", "ano", "AÑO", "an\u0303o", "a-b",
          "音楽.ogg", "straße a", "a\"b*")
    assert sorted(names(directory, q)) == sorted(found)


def test_filters(directory):
    login(directory, "Peer1", ("a.MP3", {"size": 10}), ("b.mp3", {"size": 20}), ("c.mp3", {}),
          ("d.mp3.txt", {"size": 30}), ("emp3", {"size": 1}), ("f.tar.gz", {"size": 5}),
          ("sub/g.mp3", {"size": 9}), ("h.mp3", {"size": 9, "content": ID, "partial": True}))
    assert names(directory, "mp3") == ["a.MP3", "b.mp3", "c.mp3", "d.mp3.txt", "emp3"]
    assert names(directory, "m", ext="mp3") == ["a.MP3", "b.mp3", "c.mp3"]
    assert names(directory, "m", ext=".mp3") == ["a.MP3", "b.mp3", "c.mp3"]
    assert names(directory, "-b", ext="Mp3") == ["a.MP3", "c.mp3"]
    assert names(directory, "a", ext="tar.gz") == ["f.tar.gz"]
    assert names(directory, "mp3", min_size=10) == ["a.MP3", "b.mp3", "d.mp3.txt"]
    assert names(directory, "mp3", max_size=10) == ["a.MP3", "emp3"]
    assert names(directory, "mp3", min_size=11, max_size=29) == ["b.mp3"]
    assert names(directory, "mp3", folders=1) == [
        "a.MP3", "b.mp3", "c.mp3", "d.mp3.txt", "emp3", "sub/g.mp3"]
    assert names(directory, "sub") == []
    assert names(directory, "h.mp3") == []
    assert hits(directory, "h.mp3", partial=1) == [
        {"archivo": "h.mp3", "size": 9, "content": ID, "peers": 1,
         "disponible_en": [{"peer": "Peer1", "url": URL, "partial": True}]}]


def test_many_peers_are_counted_and_some_told(net, tmp_path):
    peers = [f"P{number}" for number in range(15)]
    for peer in peers:
        harness.add_user(tmp_path / "many", peer)
    directory = net.directory(users=tmp_path / "many")
    for peer in peers:
        login(directory, peer, ("popular", {"size": 3}))
    hit, = hits(directory, "popular")
    assert hit["peers"] == 15 and len(hit["disponible_en"]) == 10 and "truncated" not in hit


# ---- what is wrong ----

@pytest.mark.parametrize("query", [
    {"q": ""}, {"q": "  "}, {"q": "\u0301"}, {"q": "x" * 1025}, {"q": " ".join(map(str, range(65)))},
    {"q": "a\0b"}, {"q": b"\xff"}, {"q": "a", "limit": 0}, {"q": "a", "limit": 501},
    {"q": "a", "limit": "x"}, {"q": "a", "min_size": -1}, {"q": "a", "max_size": "1k"},
    {"q": "a", "min_size": 2, "max_size": 1}, {"q": "a", "ext": ""}, {"q": "a", "ext": "."},
    {"q": "a", "ext": "a/b"}, {"q": "a", "ext": "x" * 65}, {"q": "a", "partial": 2},
    {"q": "a", "folders": "x"}, {"q": "a", "cursor": ""}, {"q": "a", "cursor": "x"},
    {"q": "a", "cursor": "1."}, {"q": "a", "cursor": "1.2"}, {"q": "a", "cursor": "1.x."},
    {"q": "a", "cursor": "1..ab"}, {"q": "a", "cursor": "-1"}, {"q": "a", "cursor": "1\0"},
    {"q": "a", "cursor": "9" * 19}, {"q": "a", "cursor": "1" * 200}])
def test_wrong_questions(directory, query):
    reply = directory.get("/buscar", **query)
    assert reply.status == 400, reply.text
    assert list(reply.json) == ["detail"] and reply.json["detail"]


def test_a_question_without_words(directory):
    reply = directory.get("/buscar", limit=1)
    assert reply.status == 422
    assert reply.json == {"detail": [{"type": "missing", "loc": ["query", "q"],
                                      "msg": "Field required", "input": None}]}
    assert directory.request("POST", "/buscar", {"q": "a"}).status == 405
    assert directory.request("HEAD", "/buscar", {"q": "a"}).status == 200


def test_any_cursor_that_could_be_one(directory):
    login(directory, "Peer1", ("abc", {"size": 1, "content": ID}))
    for cursor, found in [("0", 1), ("0..", 1), ("1", 0), ("1..", 1), (f"1.1.{ID}", 0), ("1.2.", 1),
                          (str(2 ** 63 - 1), 0), (f"{2 ** 63 - 1}..", 0), ("0.1.", 1)]:
        for q in ("abc", "a"):
            reply = directory.get("/buscar", q=q, cursor=cursor)
            assert reply.status == 200 and len(reply.json["archivos"]) == found, cursor


# ---- against a plain look at every name ----

def fold(text):
    folded = []
    for letter in unicodedata.normalize("NFD", text.casefold()):
        if letter == TILDE and folded and folded[-1] == "n":
            folded[-1] = "ñ"
        elif unicodedata.category(letter) not in ("Mn", "Me"):
            folded.append(letter)
    return "".join(folded)


def matches(name, wanted, excluded):
    return all(word in name for word in wanted) and not any(word in name for word in excluded)


ALPHABETS = ["abcABC .-_01", "aáàâäÁaeéoóuúünñÑN", ["n\u0303", "n\u0323\u0303", "n\u0303\u0323", "e\u0301", "a", "n", " "],
             "音楽猫漢字がカガﾞ a", ["😀", "🎵", "👩\u200d👩\u200d👧", "❤\ufe0f", "1\ufe0f\u20e3", "a", " "], "ßẞsSſﬁfiĳǅǆİıIi",
             "한국어가각ᄀᆨ", "ΣσςάΑαᾳΐ", "ёеЁйи", "مُحَمَّد", "ｱABｃ", "\"'*()-:^"]


def random_text(random, length):
    alphabet = random.choice(ALPHABETS)
    return "".join(random.choice(alphabet if random.random() < 0.7 else random.choice(ALPHABETS))
                   for _ in range(length))


def random_names(random, count):
    made = set()
    while len(made) < count:
        name = random_text(random, random.randint(1, 24))
        if name not in (".", "..") and len(name.encode()) <= 255:
            made.add(name)
    return sorted(made, key=lambda name: name.encode())


def random_word(random, some):
    """One to six characters, most of them from a name, often written otherwise."""
    if random.random() < 0.2:
        return random_text(random, random.randint(1, 3))
    name = random.choice(some)
    start = random.randrange(len(name))
    word = name[start:start + random.randint(1, 6)]
    change = random.choice([str, str.upper, str.lower, lambda text: unicodedata.normalize("NFD", text),
                            lambda text: unicodedata.normalize("NFC", text)])
    return change(word)


def check_random_questions(random, directory, there, count):
    folded = {name: fold(name) for name in there}
    asked = 0
    while asked < count:
        q = " ".join(random.choice(["", "", "", "-"]) + random_word(random, there)
                     for _ in range(random.choice([1, 1, 1, 2, 2, 3])))
        if len(q.encode()) > 1024:
            continue
        words = q.split()
        wanted = [fold(word) for word in words if word == "-" or word[0] != "-"]
        excluded = [word for word in (fold(word[1:]) for word in words if word[0] == "-") if word]
        if not any(wanted) and not excluded:
            continue
        asked += 1
        expected = sorted(name for name in there if matches(folded[name], wanted, excluded))
        limit = random.choice([50, 500, 500, min(500, max(1, len(expected) // 3))])
        if len(expected) > 20 * limit:
            limit = 500
        some = [[hit["archivo"] for hit in page] for page in pages(directory, q, limit=limit)]
        assert all(len(page) <= limit for page in some)
        got = sorted(name for page in some for name in page)
        assert got == expected, (q, words)


@pytest.mark.long
@pytest.mark.no_thread_sanitizer
def test_random_names_and_questions(net):
    directory = net.directory(expiry=3600)
    rng = random.Random(4)
    there = random_names(rng, 18000)  # more than one block of ids
    login(directory, "Peer1", *there[::2])
    login(directory, "Peer2", *there[1::2])
    check_random_questions(rng, directory, there, harness.amount(120, 40))
    kept = [name for name in there if rng.random() < 0.5]  # names go, others come
    more = [name for name in random_names(rng, 1000) if name not in set(there)]
    login(directory, "Peer1", *kept)
    login(directory, "Peer2", *more)
    check_random_questions(rng, directory, kept + more, harness.amount(60, 20))


def test_pages_while_names_come_and_go(directory):
    rng = random.Random(5)
    stays = [f"queda {i:03} siempre" for i in range(300)]
    login(directory, "Peer1", *stays)
    for q in ("siempre", "q"):
        seen = []
        for number, page in enumerate(pages(directory, q, limit=20)):
            seen += [hit["archivo"] for hit in page]
            login(directory, "Peer2", *(f"queda {rng.random()} siempre" for _ in range(50)))
            if number > 30:
                break
        assert [name for name in seen if name in set(stays)] == stays
        assert len(seen) == len(set(seen))


# ---- the database ----

def test_words_are_made_anew_by_other_rules(directory):
    login(directory, "Peer1", "uno.txt", "dos.txt")
    directory.terminate()
    with sqlite3.connect(directory.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.execute("DELETE FROM words_data WHERE id>10")
        database.execute("UPDATE state SET value=1 WHERE key='folding'")
    database.close()
    directory.start()
    assert names(directory, "txt") == ["dos.txt", "uno.txt"]


def test_words_of_a_database_without_them(net, tmp_path):
    directory = net.directory(wait=False)
    directory.kill()
    for leftover in directory.database.parent.glob("p2p-directory.db*"):
        leftover.unlink()
    with sqlite3.connect(directory.database) as database:
        database.executescript(VERSION_1)
    database.close()
    directory.start()
    directory.login("Peer1")
    assert names(directory, "a") == ["a"] and names(directory, "b") == ["b"]
