"""Many small files at once: fetched in one call each, stored together, and none is lost or half there."""

import hashlib
import json
import shutil
import urllib.parse

import pytest

import reference
from harness import PASSWORD, wait_until
from reference import id_of
from test_transfers import ended, journals, start_get, status

MIB = 1024 * 1024


def make_files(count):
    """Of all small sizes: none, one byte, a block of hashes, exactly a piece."""
    sizes = [0, 1, 4096, 16384, 16385, 100_000, MIB - 1, MIB]
    return {f"f{number:03}.bin": reference.random_bytes(sizes[number % len(sizes)] if number < 16
                                                        else 4096) for number in range(count)}


def tell_all(directory, source, files, peer="Peer2"):
    entries = [{"filename": name, "url": [source.address], "size": len(data),
                "content": id_of(data).hex()} for name, data in files.items()]
    form = {"username": peer, "password": PASSWORD, "files_index": json.dumps(entries)}
    reply = directory.request("POST", "/login", body=urllib.parse.urlencode(form).encode(),
                              headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.status == 200, reply


def check_all(peer, files):
    assert peer.names() == sorted(files)
    for name, data in files.items():
        assert hashlib.sha256((peer.share / name).read_bytes()).digest() == \
            hashlib.sha256(data).digest(), name


def test_many(net):
    """Nobody is asked for hashes, and every file is called for once."""
    directory = net.directory()
    files = make_files(300)
    source = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "--json", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(row["name"] for row in rows if "path" in row) == sorted(files)
    check_all(peer, files)
    assert source.manifests == 0
    assert len(source.calls) == sum(1 for data in files.values() if data)
    assert journals(peer) == []


def test_directory_of_the_reference(net):
    """It takes no question for many names, and is not asked one again and again."""
    directory = net.reference_directory()
    files = {f"f{number:02}": reference.random_bytes(3000) for number in range(60)}
    source = net.reference_peer(files=files)
    entries = json.dumps([{"filename": name, "url": [source.address]} for name in files])
    assert directory.login("Peer2", PASSWORD, entries)[0] == 200
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)
    assert directory.asked.count("GET /buscar_archivos") >= len(files)
    assert directory.asked.count("POST /buscar_archivos") <= 4  # of as many threads


def test_one_lies(net):
    """The others are asked; what is false is never stored."""
    directory = net.directory()
    files = {f"f{number}": reference.random_bytes(5000) for number in range(20)}
    liar = net.reference_peer(reference.ContentPeer, files=files)
    liar.lies = lambda offset: True
    honest = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, liar, files, "Peer2")
    tell_all(directory, honest, files, "Peer3")
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)


def test_nobody_tells_the_truth(net):
    directory = net.directory()
    files = {"a.bin": reference.random_bytes(5000)}
    liar = net.reference_peer(reference.ContentPeer, files=files)
    liar.lies = lambda offset: True
    tell_all(directory, liar, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin", timeout=60)
    assert result.returncode == 1 and "datos falsos" in result.stderr
    assert peer.names() == [] and journals(peer) == []


def test_a_name_that_is_taken(net):
    directory = net.directory()
    files = {f"f{number}.txt": reference.random_bytes(300) for number in range(10)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, files={"f3.txt": b"mine", "f4.txt": files["f4.txt"]})
    result = peer.command("get", *files, timeout=60)
    assert result.returncode == 0, result.stderr
    expected = {**files, "f3.txt": b"mine", "f3 (1).txt": files["f3.txt"]}
    check_all(peer, expected)
    assert "f3 (1).txt" in result.stdout + result.stderr


def test_killed_among_many(net):
    """What was told to be done is there; the rest is fetched by the next daemon; nothing is half."""
    directory = net.directory()
    files = {f"f{number:03}": reference.random_bytes(4096) for number in range(400)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, download_limit=20 * 1024)  # 5 files a second
    getting = start_get(peer, *files)
    wait_until(lambda: sum(status(peer)["downloads"].get(state, 0) for state in
                           ("queued", "running", "done")) == len(files), 30, "all to be in line")
    wait_until(lambda: len(peer.names()) > 10, 30, "some files")
    peer.kill()
    told = {line.rpartition("/")[2] for line in ended(getting)[1].splitlines()
            if line.startswith("Archivo descargado: ")}
    assert told
    for name in told | {name for name in peer.names() if not name.startswith(".")}:
        assert (peer.share / name).read_bytes() == files[name]
    assert len(peer.names()) < len(files)
    tell_all(directory, source, files)
    peer.start()
    assert peer.command("limit", "--download", "none").returncode == 0
    wait_until(lambda: peer.names() == sorted(files), 60, "all files")
    wait_until(lambda: journals(peer) == [], 20, "the line to be empty")
    check_all(peer, files)


def test_paused_in_line_over_a_restart(net):
    directory = net.directory()
    files = {"a.bin": reference.random_bytes(4096), "b.bin": reference.random_bytes(4096)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    source.stall_after = 0
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    getting = [start_get(peer, name) for name in files]
    rows = wait_until(lambda: len(status(peer)["downloads"]["jobs"]) == 2 and
                      status(peer)["downloads"]["jobs"], 20, "two jobs")
    paused = next(row for row in rows if row["name"] == "a.bin")
    assert peer.command("downloads", "pause", str(paused["id"])).returncode == 0
    wait_until(lambda: any(row["state"] == "paused" for row in status(peer)["downloads"]["jobs"]),
               20, "the pause")
    peer.kill()
    for process in getting:
        ended(process)
    source.stall_after = None
    tell_all(directory, source, files)
    peer.start()
    wait_until(lambda: "b.bin" in peer.names(), 30, "the other file")
    row = next(row for row in status(peer)["downloads"]["jobs"] if row["name"] == "a.bin")
    assert row["state"] == "paused" and "a.bin" not in peer.names()
    assert peer.command("downloads", "resume", str(row["id"])).returncode == 0
    wait_until(lambda: "a.bin" in peer.names(), 30, "the paused file")
    check_all(peer, files)


@pytest.mark.root
def test_a_full_disk(net, small_disk):
    """2 MiB for 3 MiB: what does not fit waits for room and says so."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(100_000) for number in range(30)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, share=small_disk)
    try:
        getting = start_get(peer, *files)
        wait_until(lambda: any(row["state"] == "waiting" and "espacio" in row["reason"]
                               for row in status(peer)["downloads"]["jobs"]), 30, "a full disk")
        kept = peer.folder / "kept"
        kept.mkdir()
        there = [name for name in peer.names() if not name.startswith(".")]
        assert there
        for name in there:
            assert (peer.share / name).read_bytes() == files[name]
            shutil.move(peer.share / name, kept / name)
        assert ended(getting, 60)[0] == 0
        for name, data in files.items():
            place = kept / name if name in there else peer.share / name
            assert place.read_bytes() == data, name
    finally:
        net.finish()
        net.running.clear()
