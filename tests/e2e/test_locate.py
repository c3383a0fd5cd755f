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


# ---- no directory at all ----

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def without(friend=None, second=None):
    """Settings of a peer without a directory, with friends."""
    return {"api_url": None if friend else f"{NOWHERE}/login",
            "api_search_url": None if friend else f"{NOWHERE}/buscar_archivos",
            "auth_enabled": False,
            "peer_amigo_titular": friend and f"http://{friend}", "peer_amigo_suplente": second}


def test_remembered_sources_when_the_directory_is_killed(net):
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"a": "x", "b": "y"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a", "b"])
    wait_until(lambda: "content" in json.dumps(search(peer, "a"))
               and search(peer, "a")["sources"][0]["content"], what="the content id")
    directory.kill()
    found = search(peer, "a")
    assert [(s["peer"], s["addresses"], s["via"], s["size_bytes"]) for s in found["sources"]] == [
        ("Peer2", [source.address], None, 1)]
    assert found["sources"][0]["age_ms"] < 60000 and found["sources"][0]["content"]
    assert found["note"].startswith("El directorio no responde; según lo recordado hace ")
    result = peer.command("search", "a")
    assert result.returncode == 0 and "El directorio no responde" in result.stderr
    assert "según lo recordado hace" in result.stdout
    peer.terminate()  # and over a restart of the peer, too
    peer.start()
    result = peer.command("get", "a")
    assert result.returncode == 0, result.stderr
    assert "El directorio no responde; según lo recordado hace" in result.stderr
    assert (peer.share / "a").read_bytes() == b"x"
    # What was never asked for: a peer that was met knows.
    result = peer.command("get", "b", "--json")
    assert result.returncode == 0, result.stdout
    assert json.loads(result.stdout)["note"].startswith(
        f"El directorio no responde; según {source.address} hace")
    missing = peer.command("get", "nada")
    assert missing.returncode == 4 and "No se puede conectar con el directorio" in missing.stderr


def test_two_hops_without_a_directory(net):
    third = net.peer("Peer3", files={"far.bin": harness.reference.random_bytes(3000000)}, **without())
    friend = net.peer("Peer2", **without(third.address))
    fresh = net.peer("Peer1", **without(friend.address))
    found = search(fresh, "far.bin")
    assert [(s["peer"], s["addresses"], s["via"]) for s in found["sources"]] == [
        ("Peer3", [third.address], friend.address)]
    result = fresh.command("get", "far.bin")
    assert result.returncode == 0, result.stderr
    assert f"El directorio no responde; según {friend.address} hace" in result.stderr
    assert (fresh.share / "far.bin").read_bytes() == (third.share / "far.bin").read_bytes()
    assert "ninguno" in fresh.command("status").stdout


def test_hops_end(net):
    """Three hops reach the fourth peer of a chain, not the fifth."""
    peers = [net.peer("Peer5", files={"fifth": "5"}, **without())]
    for number in range(4, 0, -1):
        peers.insert(0, net.peer(f"Peer{number}", files={f"nr{number}": "x"},
                                 **without(peers[0].address)))
    assert peers[0].command("get", "nr4").returncode == 0
    assert peers[0].command("search", "fifth").returncode == 4
    assert peers[1].command("search", "fifth").returncode == 0


def test_a_ring_of_friends_ends(net):
    ports = [harness.free_port() for _ in range(4)]
    peers = []
    for number, port in enumerate(ports):
        friends = without(f"127.0.0.1:{ports[(number + 1) % 4]}", f"127.0.0.1:{ports[(number + 2) % 4]}")
        peers.append(net.peer(f"Peer{number}", port=port, files={f"nr{number}": "x"}, **friends))
    started = time.monotonic()
    for peer in peers:
        assert peer.command("search", "nada").returncode == 4
    assert time.monotonic() - started < 8 * harness.PATIENCE
    for number in range(1, 4):
        assert [s["peer"] for s in search(peers[0], f"nr{number}")["sources"]] == [f"Peer{number}"]


def test_a_friend_of_the_reference(net):
    """It does not know Locate: its list is looked through."""
    friend = net.reference_peer(files={"a.txt": "hola"})
    peer = net.peer("Peer1", **without(friend.address))
    assert [(s["peer"], s["addresses"], s["size_bytes"]) for s in search(peer, "a.txt")["sources"]] \
        == [(friend.address, [friend.address], 4)]
    result = peer.command("get", "a.txt")
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a.txt").read_bytes() == b"hola"
    # And at one more hop.
    other = net.peer("Peer2", **without(peer.address))
    (peer.share / "a.txt").unlink()
    assert other.command("get", "a.txt").returncode == 0


def test_a_friend_asks_its_directory(net):
    directory = net.directory()
    source = net.peer("Peer3", directory, files={"a": "x"})
    friend = net.peer("Peer2", directory)
    directory.wait_for_files("Peer3", ["a"])
    directory.wait_for_peer("Peer2")
    fresh = net.peer("Peer1", **without(friend.address))
    assert [(s["peer"], s["addresses"]) for s in search(fresh, "a")["sources"]] == [
        ("Peer3", [source.address])]
    assert fresh.command("get", "a").returncode == 0


def test_dead_and_silent_friends_cost_little(net):
    import socket

    source = net.peer("Peer3", files={"a": "x"}, **without())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_address = f"127.0.0.1:{silent.getsockname()[1]}"
        peer = net.peer("Peer1", **without(silent_address, source.address))
        started = time.monotonic()
        assert peer.command("get", "a").returncode == 0
        assert time.monotonic() - started < 2 * harness.PATIENCE
        started = time.monotonic()
        assert peer.command("search", "nada").returncode == 4
        assert time.monotonic() - started < 8 * harness.PATIENCE
        assert peer.terminate() < 2 * harness.PATIENCE
