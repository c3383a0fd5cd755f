"""Files that rot: found by verify and by the slow check, refused, repaired, withdrawn.

Rot changes bytes and nothing else, and every write changes a file's times. So either a bit is turned in
the image of a mounted file system; or, where that is not the point, the catalogue is told while the
daemon is down that a file has another content than it has, which from then on looks exactly the same.
"""

import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import threading
import time

import grpc
import pytest

import harness
import reference
from harness import wait_until
from test_content_peer import Client, id_of, pieces_of, refusal

MIB = 1 << 20
SIZE = 7 * MIB // 2
BAD = [1, 3]  # of the four pieces


def rotten(data, bad=None):
    spoilt = bytearray(data)
    for piece in BAD if bad is None else bad:
        spoilt[piece * MIB + 1234] ^= 4
    return bytes(spoilt)


def catalogue_of(peer):
    return sqlite3.connect(pathlib.Path(peer.settings["state_directory"]) / "catalogue.db")


def wait_hashed(peer, name, data):
    with Client(peer) as client:
        client.wait_id(name, data)


def let_rot(peer, name, data):
    """The file holds rotten(data) from now on, and its catalogue has data. Restarts the peer."""
    if not peer.running():
        peer.start()
    wait_hashed(peer, name, (peer.share / name).read_bytes())
    peer.terminate()
    with catalogue_of(peer) as database:
        changed = database.execute("UPDATE files SET content=?, hashes=? WHERE name=?",
                                   (id_of(data), b"".join(pieces_of(data)), name)).rowcount
        assert changed == 1
    peer.start()
    wait_hashed(peer, name, data)


def verify(peer, *arguments, status=0):
    result = peer.command("verify", "--json", *arguments)
    assert result.returncode == status, (result.stdout, result.stderr)
    return {file["name"]: file for file in json.loads(result.stdout)["files"]}


def share_status(peer):
    return json.loads(peer.command("status", "--json").stdout)["share"]


def damaged(peer):
    return share_status(peer)["damaged"]


@pytest.fixture
def data():
    return reference.random_bytes(SIZE)


@pytest.fixture
def rotting(net, data):
    """A peer by itself with a file that has rotted."""
    peer = net.peer(files={"f": rotten(data), "good": data})
    wait_hashed(peer, "good", data)
    let_rot(peer, "f", data)
    return peer


def test_verify_finds_it_and_it_is_not_served(rotting, data):
    peer = rotting
    with Client(peer) as client:
        assert client.download("f", length=MIB)[0] == data[:MIB]
    files = verify(peer, status=1)
    assert files["good"] == {"name": "good", "state": "ok", "size_bytes": SIZE,
                             "content": id_of(data).hex(), "pieces": 4, "bad_count": 0, "bad": []}
    assert (files["f"]["state"], files["f"]["bad"], files["f"]["pieces"]) == ("damaged", BAD, 4)
    with Client(peer) as client:
        for wanted in ({}, {"content_id": id_of(data)}, {"offset": MIB, "length": 1},
                       {"offset": MIB - 1, "length": 2}, {"offset": 2 * MIB}):
            assert refusal(lambda: client.download("f", **wanted)) == grpc.StatusCode.DATA_LOSS
        for offset, length in ((0, MIB), (2 * MIB, MIB)):
            assert client.download("f", offset=offset, length=length)[0] == \
                data[offset:offset + length]
        assert client.manifest("f") == (id_of(data), SIZE, b"".join(pieces_of(data)))
        assert client.download("good")[0] == data
    assert damaged(peer) == 1
    assert "1 dañados" in peer.command("status").stdout
    assert peer.log.count("'f' is damaged: 2 of its 4 pieces") == 1


def test_what_verify_prints(rotting):
    peer = rotting
    shown = peer.command("verify")
    assert shown.returncode == 1
    assert shown.stdout == "dañado  f: 2 de 4 piezas: 1 3\nbien    good\n"
    assert peer.command("verify", "good").stdout == "bien    good\n"
    missing = peer.command("verify", "good", "none")
    assert missing.returncode == 3
    assert missing.stdout == "bien    good\nerror   none: Archivo no encontrado\n"
    assert peer.command("verify", "../x").returncode == 1
    peer.terminate()
    assert peer.command("verify").returncode == 4


def test_a_file_that_is_not_hashed_yet_is_neither(peer):
    enough = threading.Event()
    growing = (peer.share / "growing").open("ab", buffering=0)

    def grow():
        while not enough.wait(0.02):
            growing.write(b"x")

    with growing:
        growing.write(b"x")
        writer = threading.Thread(target=grow)
        writer.start()
        try:  # it changes all the time, so its turn never comes
            files = [verify(peer, "growing")["growing"] for _ in range(3)]
        finally:
            enough.set()
            writer.join()
    for file in files:
        assert file["state"] == "unknown" and file["error"]["code"] in ("busy", "changed")


def test_who_downloads_takes_another_source(net, rotting, data):
    verify(rotting, "f", status=1)
    directory = net.directory()
    assert directory.login("Peer1", files=["f"], url=[rotting.address]).status == 200
    getter = net.peer("Peer3", directory)
    # By itself it gives nothing that is wrong: the download waits, or fails, and leaves no file.
    process = subprocess.Popen([harness.PEER_PROGRAM, "get", "f", "--config", getter.config_path],
                               env=harness.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    time.sleep(2)
    assert not (getter.share / "f").exists()
    whole = net.peer("Peer2", directory, files={"f": data})
    wait_hashed(whole, "f", data)
    directory.wait_for_files("Peer2", ["f"])
    if process.poll() is not None:
        process.communicate()
        assert getter.command("get", "f").returncode == 0
    wait_until(lambda: (getter.share / "f").exists(), 60, "the download")
    process.communicate()
    assert (getter.share / "f").read_bytes() == data


def test_without_another_holder_it_is_withdrawn(net, data):
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"f": rotten(data), "good": b"x"})
    wait_hashed(peer, "good", b"x")
    let_rot(peer, "f", data)
    directory.wait_for_files("Peer1", ["f", "good"])
    verify(peer, status=1)
    directory.wait_for_files("Peer1", ["good"], 15)
    with Client(peer) as client:
        assert list(client.list()) == ["good"]
    assert "cannot be repaired yet, so it is not shared" in peer.log
    assert share_status(peer) == {"folder": str(peer.share), "files": 1, "bytes": 1, "damaged": 1}
    # Also after a restart, without another check.
    peer.terminate()
    peer.start()
    wait_until(lambda: damaged(peer) == 1, 10, "the damage to be known")
    with Client(peer) as client:
        assert list(client.list()) == ["good"]
        assert refusal(lambda: client.download("f")) == grpc.StatusCode.DATA_LOSS
    directory.wait_for_files("Peer1", ["good"], 15)
    # What the user puts in its place is a new file.
    (peer.share / "new").write_bytes(data)
    (peer.share / "new").rename(peer.share / "f")
    directory.wait_for_files("Peer1", ["f", "good"], 15)
    wait_hashed(peer, "f", data)
    assert damaged(peer) == 0
    assert verify(peer)["f"]["state"] == "ok"


def repaired(net, data, directory, other, name="Peer1"):
    """A peer whose file rots, and is repaired from the other; what must be true then."""
    peer = net.peer(name, directory, files={"f": rotten(data)})
    let_rot(peer, "f", data)
    inode, modified = (peer.share / "f").stat().st_ino, (peer.share / "f").stat().st_mtime_ns
    assert verify(peer, "f", status=1)["f"]["bad"] == BAD
    wait_until(lambda: damaged(peer) == 0, 15, "the repair")
    assert (peer.share / "f").read_bytes() == data
    status = (peer.share / "f").stat()
    assert (status.st_ino, status.st_mtime_ns) == (inode, modified)
    assert verify(peer, "f")["f"]["state"] == "ok"
    with Client(peer) as client:
        assert client.download("f")[0] == data
    assert "'f' is whole again" in peer.log
    # Known in its new state, without hashing: the row is the same.
    with catalogue_of(peer) as database:
        assert database.execute("SELECT number, changed_ns, bad FROM files").fetchall() == \
            [(1, status.st_ctime_ns, None)]
    return peer


def test_it_is_repaired_from_another_peer(net, data):
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"f": data})
    wait_hashed(other, "f", data)
    directory.wait_for_files("Peer2", ["f"])
    repaired(net, data, directory, other)


def test_it_is_repaired_from_a_peer_of_the_reference(net, data):
    directory = net.directory()
    other = net.reference_peer(files={"f": data})
    assert directory.login("Peer2", files=["f"], url=[other.address]).status == 200
    repaired(net, data, directory, other)


def test_it_is_repaired_from_the_same_content_of_another_name(net, data):
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"whole.bin": data})
    wait_hashed(other, "whole.bin", data)
    wait_until(lambda: [entry.get("content") for entry in directory.get(
        "/buscar_archivos", filename="whole.bin").json.get("disponible_en", [])] == [id_of(data).hex()],
        30, "the directory to know its content")
    net.peer("Peer3", directory, files={"f": data[::-1]})
    directory.wait_for_files("Peer3", ["f"])
    repaired(net, data, directory, other)


def test_other_and_rotten_contents_are_no_help(net, data):
    directory = net.directory()
    net.peer("Peer3", directory, files={"f": data[::-1]})
    liar = net.reference_peer(files={"f": rotten(data, [1])})
    assert directory.login("Peer4", files=["f"], url=[liar.address]).status == 200
    directory.wait_for_files("Peer3", ["f"])
    peer = net.peer("Peer1", directory, files={"f": rotten(data)})
    let_rot(peer, "f", data)
    spoilt = (peer.share / "f").read_bytes()
    verify(peer, "f", status=1)
    directory.wait_for_files("Peer1", [], 15)
    assert (peer.share / "f").read_bytes() == spoilt
    # When somebody comes who has it, a check tries again at once.
    other = net.peer("Peer2", directory, files={"f": data})
    wait_hashed(other, "f", data)
    directory.wait_for_files("Peer2", ["f"])
    verify(peer, "f", status=1)
    wait_until(lambda: damaged(peer) == 0, 15, "the repair")
    assert (peer.share / "f").read_bytes() == data
    directory.wait_for_files("Peer1", ["f"], 15)


def test_the_slow_check_finds_it(net, data):
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"f": data})
    wait_hashed(other, "f", data)
    directory.wait_for_files("Peer2", ["f"])
    peer = net.peer("Peer1", directory, files={"f": rotten(data)}, scrub_days=0)
    let_rot(peer, "f", data)
    peer.terminate()
    with catalogue_of(peer) as database:
        database.execute("UPDATE files SET checked_s=0")
    peer.start()
    time.sleep(3)
    assert (peer.share / "f").read_bytes() == rotten(data)  # it is off
    peer.terminate()
    peer.settings["scrub_days"] = 7
    peer.write_config()
    peer.start()
    wait_until(lambda: "is whole again" in peer.log, 20, "the slow check and the repair")
    assert (peer.share / "f").read_bytes() == data
    with catalogue_of(peer) as database:
        checked = database.execute("SELECT checked_s FROM files").fetchone()[0]
    assert abs(checked - time.time()) < 60


def test_interrupting_verify_ends_the_check(net):
    peer = net.peer(files={"huge": 3 << 30})
    wait_until(lambda: json.loads(peer.command("list", "--json").stdout)["files"][0]["content"], 60,
               "the hashes")
    command = [harness.PEER_PROGRAM, "verify", "--config", peer.config_path]
    for _ in range(3):  # no more than two may run at once: these have ended
        process = subprocess.Popen(command, env=harness.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        time.sleep(0.7)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        assert process.wait(5 * harness.PATIENCE) == -signal.SIGINT
        process.communicate()

    def idles():
        before = peer.processor_seconds()
        time.sleep(1)
        return peer.processor_seconds() - before < 0.3

    assert idles() or idles()  # the last one may have had something left to tidy up
    assert damaged(peer) == 0
    process = subprocess.Popen(command, env=harness.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    time.sleep(0.5)
    peer.terminate()  # a daemon that stops does not wait for it
    assert process.wait(5 * harness.PATIENCE) != 0
    process.communicate()


@pytest.fixture
def disk(tmp_path):
    """An ext4 file system in a file: (mount point, image)."""
    image, point = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    point.mkdir()
    made = subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", image], capture_output=True)
    if made.returncode == 0:
        made = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True)
    if made.returncode != 0:
        pytest.skip(f"NO REAL ROT TESTED: no file system on a loop device: {made.stderr.decode()}")
    yield point, image
    subprocess.run(["umount", "-l", point], check=True)


def flip(image, point, name, offset):
    """Turns a bit of the file where it lies on the disk."""
    subprocess.run(["sync", "-f", point / name], check=True)
    shown = subprocess.run(["debugfs", "-R", f"bmap /data/{name} {offset // 4096}", image],
                           capture_output=True, text=True, check=True).stdout
    at = int(re.search(r"^(\d+)$", shown, re.MULTILINE).group(1)) * 4096 + offset % 4096
    with image.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
        file.flush()
        os.fsync(file.fileno())


@pytest.mark.root
def test_a_bit_that_turns_on_a_disk(net, data, disk):
    point, image = disk
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"f": data})
    share = point / "data"
    share.mkdir()
    peer = net.peer("Peer1", directory, files={"f": data}, share=share)
    try:
        wait_hashed(peer, "f", data)
        wait_hashed(other, "f", data)
        directory.wait_for_files("Peer2", ["f"])
        before = (share / "f").stat()
        flip(image, share, "f", 2 * MIB + 100000)
        # Nobody sees it yet: the system has the good bytes in memory, and the times are the same.
        assert (share / "f").read_bytes() == data
        assert verify(peer, "f", status=1)["f"]["bad"] == [2]
        wait_until(lambda: damaged(peer) == 0, 15, "the repair")
        after = (share / "f").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert verify(peer, "f")["f"]["state"] == "ok"
        os.posix_fadvise(fd := os.open(share / "f", os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        assert (share / "f").read_bytes() == data
    finally:
        peer.terminate()
