"""Files are found while directories are away: the other directories, what was seen before, friends."""

import json
import time

import harness
from harness import wait_until


def of_all(*directories):
    """Settings of a peer that has all these directories."""
    return {"api_url": [f"{d.url}/login" for d in directories],
            "api_search_url": [f"{d.url}/buscar_archivos" for d in directories],
            "auth_enabled": True}


def search(peer, name):
    result = peer.command("search", name, "--json")
    return json.loads(result.stdout) if result.stdout else None


# ---- several directories ----

def test_a_peer_is_listed_at_all_its_directories(net):
    first, second = net.directory(), net.directory()
    peer = net.peer("Peer2", files={"a": "x"}, **of_all(first, second))
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a"])
        assert directory.sources("a") == {"Peer2": [peer.address]}
    harness.reference.write_file(peer.share / "b", b"y")
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a", "b"])


def test_one_of_two_directories_dies(net):
    first, second = net.directory(expiry=6), net.directory(expiry=6)
    net.peer("Peer2", files={"a": "x"}, **of_all(first, second))
    peer = net.peer("Peer1", **of_all(first, second))
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a"])
        directory.wait_for_peer("Peer1")
    first.kill()
    started = time.monotonic()
    assert peer.command("get", "a").returncode == 0
    assert time.monotonic() - started < 2 * harness.PATIENCE
    assert (peer.share / "a").read_bytes() == b"x"

    def seen():
        status = json.loads(peer.command("status", "--json").stdout)
        return ([d["connected"] for d in status["directories"]] == [False, True]
                and status["directory"]["url"] == f"{second.url}/login")

    wait_until(seen, what="the status to show it")
    second.kill()
    first.start()
    first.wait_for_files("Peer2", ["a"], 12)
    assert [s["peer"] for s in search(peer, "a")["sources"]] == ["Peer2"]


def test_a_directory_twice_is_warned_of(net):
    directory = net.directory()
    peer = net.peer("Peer1", files={"a": "x"}, **of_all(directory, directory))
    directory.wait_for_files("Peer1", ["a"])
    assert "is there twice" in peer.log
