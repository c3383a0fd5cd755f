"""Differences of lists (files_added, files_removed): exact, or the whole list is asked for."""

import json
import random
import threading
import urllib.parse

import pytest

import harness
from index_sums import etag

ID = "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
URL = ["10.0.0.1:8001"]
NEEDS = "files_added y files_removed necesitan index_base e index_etag, y no van con files_index"
BAD = "Formato inválido en files_added o files_removed"


def entry(name, **known):
    return {"filename": name, **known}


def tag(entries):
    return etag(entries, usual=URL if entries else [])


def send(directory, peer="Peer1", how="query", **arguments):
    fields = {"username": peer, "password": harness.PASSWORD, "folders": "1", **arguments}
    if how == "json":
        body, kind = json.dumps(fields).encode(), "application/json"
    else:
        fields = {key: value if isinstance(value, str) else json.dumps(value)
                  for key, value in fields.items()}
        body, kind = urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded"
    if how == "query":
        return directory.request("POST", "/login", fields)
    return directory.request("POST", "/login", body=body, headers={"Content-Type": kind})


def send_all(directory, entries, peer="Peer1"):
    reply = send(directory, peer, "json", files_index=[{"url": URL, **item} for item in entries],
                 index_etag=tag(entries))
    assert reply.status == 200 and reply.json["index_needed"] is False
    return reply


def change(directory, before, after, added, removed, **more):
    """Whether the whole list is needed after that."""
    reply = send(directory, **more, index_base=tag(before), index_etag=tag(after),
                 files_added=added, files_removed=removed)
    assert reply.status == 200, reply
    return reply.json["index_needed"]


def stored(directory, peer="Peer1"):
    """What the directory has of that peer, as entries by name; all with the usual urls."""
    found = {}
    reply = directory.get("/ver_archivos", folders="1", partial="1").json
    for item in reply["archivos"]:
        if item.pop("peer") == peer:
            assert item.pop("url") == URL
            found[item["filename"]] = item
    return found


def as_stored(entries):
    return {item["filename"]: item for item in entries}


@pytest.mark.parametrize("how", ["query", "form", "json"])
def test_one_more_one_fewer_one_other(directory, how):
    before = [entry("a"), entry("b", size=1), entry("c/d")]
    after = [entry("b", size=2, content=ID), entry("c/d"), entry("e", size=7)]
    send_all(directory, before)
    assert change(directory, before, after, [after[0], after[2]], ["a", "b"], how=how) is False
    assert stored(directory) == as_stored(after)
    assert directory.sources("e") == {"Peer1": URL} and directory.sources("a") == {}
    assert send(directory, index_etag=tag(after)).json["index_needed"] is False
    assert "indexó archivo: e\n" in directory.log


def test_only_one_of_the_two(directory):
    send_all(directory, [entry("a")])
    both = [entry("a"), entry("b")]
    reply = send(directory, index_base=tag(both[:1]), index_etag=tag(both), files_added=both[1:])
    assert reply.json["index_needed"] is False
    reply = send(directory, index_base=tag(both), index_etag=tag(both[1:]), files_removed=["a"])
    assert reply.json["index_needed"] is False
    assert stored(directory) == as_stored(both[1:])


def test_what_does_not_fit_changes_nothing(directory):
    before = [entry("a"), entry("b", size=1)]
    more = before + [entry("c")]
    send_all(directory, before)
    for base, target, added, removed in [
            (more, more[1:], [], ["a"]),  # of another list
            (before, more, [], []),  # and nothing comes
            (before, more, [entry("c", size=1)], []),  # another one comes
            (before, before[:1], [], ["a"]),  # another one goes
            (before, before[:1], [], ["b", "x"]),  # one goes that is not there
            (before, before + [entry("a")], [entry("a")], []),  # one comes that is there
            (before, more, [{"filename": "c", "url": URL}], []),  # urls are for whole lists
            (before, more, [{"filename": "c", "url": []}], []),
            ([], more, more, [])]:
        assert change(directory, base, target, added, removed) is True
        assert stored(directory) == as_stored(before)
        assert send(directory, index_etag=tag(before)).json["index_needed"] is False


def test_files_with_urls_of_their_own_are_not_changed_so(directory):
    files = [{"filename": "a", "url": URL}, {"filename": "b", "url": ["h:1"]}]
    send(directory, files_index=files)
    reply = send(directory, index_base=etag(files), index_etag=etag(files[:1]), files_removed=["b"])
    assert reply.json["index_needed"] is True
    assert directory.files_of("Peer1") == ["a", "b"]
    reply = send(directory, index_base=etag(files), index_etag=etag(files[1:], URL),
                 files_removed=["a"])
    assert reply.json["index_needed"] is False
    assert directory.sources("b") == {"Peer1": ["h:1"]}


def test_a_replayed_difference_is_done_already(directory):
    before, after = [entry("a")], [entry("a"), entry("b")]
    send_all(directory, before)
    for _ in range(3):
        assert change(directory, before, after, [entry("b")], []) is False
    assert change(directory, after, before, [], ["b"]) is False
    assert change(directory, after, before, [], ["b"]) is False
    assert stored(directory) == as_stored(before)


def test_a_peer_without_a_list(directory):
    assert change(directory, [], [entry("a")], [entry("a")], []) is True
    send_all(directory, [])
    assert change(directory, [], [entry("a")], [entry("a")], []) is True  # its urls are not known
    assert directory.files_of("Peer1") == []


@pytest.mark.parametrize("arguments, detail", [
    ({"files_added": []}, NEEDS),
    ({"files_removed": [], "index_etag": "0" * 64}, NEEDS),
    ({"files_removed": [], "index_base": "0" * 64}, NEEDS),
    ({"files_added": [], "files_index": [], "index_base": "0" * 64, "index_etag": "0" * 64}, NEEDS),
    *(({**wrong, "index_base": "0" * 64, "index_etag": "0" * 64}, BAD) for wrong in [
        {"files_added": {}}, {"files_added": "x"}, {"files_added": [1]}, {"files_added": ["a"]},
        {"files_added": [{"filename": ".."}]}, {"files_removed": {}}, {"files_removed": [1]},
        {"files_removed": [{"filename": "a"}]}, {"files_removed": ["a", ""]},
        {"files_removed": ["a\1"]}, {"files_removed": "[]x"},
        {"files_removed": ["a/b"], "folders": "0"},
        {"files_added": [{"filename": "a/b"}], "folders": "0"}]),
    ({"index_base": "x"}, "index_base debe tener 64 dígitos hexadecimales en minúscula")])
@pytest.mark.parametrize("how", ["query", "json"])
def test_wrong_shapes(directory, how, arguments, detail):
    send_all(directory, [entry("a")])
    reply = send(directory, how=how, **arguments)
    assert (reply.status, reply.json) == (400, {"detail": detail})
    assert directory.files_of("Peer1") == ["a"]


def test_a_hundred_thousand_files_and_one_more(directory):
    count = harness.amount(100_000, 20_000)
    files = [entry(f"file {number}", size=number) for number in range(count)]
    send_all(directory, files)
    after = files[1:] + [entry("new")]
    assert change(directory, files, after, after[-1:], ["file 0"]) is False
    assert directory.sources("new") == {"Peer1": URL} and directory.sources("file 0") == {}
    assert len(stored(directory)) == count


def test_of_two_from_one_list_one_is_taken(directory):
    files = [entry("a")]
    send_all(directory, files)
    for number in range(20):
        ways = [files + [entry(f"{number} {way}")] for way in range(8)]
        needed = [None] * len(ways)

        def go(way):
            needed[way] = change(directory, files, ways[way], ways[way][-1:], [])

        threads = [threading.Thread(target=go, args=(way,)) for way in range(len(ways))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert needed.count(False) == 1
        files = ways[needed.index(False)]
        assert stored(directory) == as_stored(files)
        assert send(directory, index_etag=tag(files)).json["index_needed"] is False


def test_a_difference_beside_whole_lists(directory):
    """Whatever comes first: what the directory says that it has is what it has."""
    numbers = random.Random(5)
    files = [entry("a")]
    send_all(directory, files)
    for round_number in range(30):
        other = [entry(f"other {round_number}"), entry("a", size=round_number)]
        more = files + [entry(f"more {round_number}")]
        actions = [lambda: send_all(directory, other),
                   lambda: change(directory, files, more, more[-1:], [])]
        numbers.shuffle(actions)
        threads = [threading.Thread(target=action) for action in actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = [candidate for candidate in (files, other, more)
                if send(directory, index_etag=tag(candidate)).json["index_needed"] is False]
        assert len(held) == 1
        files = held[0]
        assert stored(directory) == as_stored(files)


class Model:
    """A peer's list and random changes of it."""

    def __init__(self, seed):
        self.numbers = random.Random(seed)
        self.files = []

    def random_entry(self, name):
        known = {}
        if self.numbers.random() < 0.7:
            known["size"] = self.numbers.randrange(1000)
        if self.numbers.random() < 0.5:
            known["content"] = ID
        if len(known) == 2 and self.numbers.random() < 0.3:
            known["partial"] = True
        return entry(name, **known)

    def next(self):
        """(after, added, removed)"""
        files = as_stored(self.files)
        names = [f"{folder}{number}" for folder in ("", "ñ/") for number in range(30)]
        removed = self.numbers.sample(sorted(files), self.numbers.randrange(min(len(files), 6) + 1))
        for name in removed:
            del files[name]
        free = [name for name in names if name not in files]
        added = [self.random_entry(name)
                 for name in self.numbers.sample(free, min(len(free), self.numbers.randrange(1, 6)))]
        files.update(as_stored(added))
        return list(files.values()), added, removed


@pytest.mark.parametrize("seed", range(3))
def test_random_differences_against_a_model(directory, seed):
    model = Model(seed)
    model.files = [model.random_entry(str(number)) for number in range(5)]
    send_all(directory, model.files)
    for _ in range(harness.amount(150, 60)):
        after, added, removed = model.next()
        kind = model.numbers.choice(["good"] * 6 + ["base", "target", "added", "removed", "all"])
        before, target = model.files, after
        if kind == "base":
            before = before + [entry("elsewhere")]
        elif kind == "target":
            target = after + [entry("elsewhere")]
        elif kind == "added":
            added = added[:-1] + [entry("elsewhere")]
        elif kind == "removed":
            removed = removed + ["nowhere"]
        if kind == "all":
            send_all(directory, after)
        else:
            needed = change(directory, before, target, added, removed,
                            how=model.numbers.choice(["query", "form", "json"]))
            assert needed is (kind != "good"), kind
        if kind in ("good", "all"):
            model.files = after
        if model.numbers.random() < 0.1:
            directory.kill()
            directory.start()
        if model.numbers.random() < 0.2:
            assert stored(directory) == as_stored(model.files)
    assert stored(directory) == as_stored(model.files)
    assert send(directory, index_etag=tag(model.files)).json["index_needed"] is False


def test_kill_9_among_differences(directory):
    """After each kill there is the last list that was acknowledged, or the one on its way."""
    model = Model(9)
    model.files = [entry("0")]
    send_all(directory, model.files)
    for _ in range(15):
        coming = []
        stop = threading.Event()

        def go():
            while not stop.is_set():
                after, added, removed = model.next()
                coming[:] = after
                try:
                    assert change(directory, model.files, after, added, removed, how="json") is False
                except OSError:
                    return
                model.files = after

        thread = threading.Thread(target=go)
        thread.start()
        thread.join(model.numbers.random() * 0.3)
        directory.kill()
        stop.set()
        thread.join()
        directory.start()
        held = [files for files in (model.files, list(coming))
                if send(directory, index_etag=tag(files)).json["index_needed"] is False]
        assert held
        model.files = held[0]
        assert stored(directory) == as_stored(model.files)
