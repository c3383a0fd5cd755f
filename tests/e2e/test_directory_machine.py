"""The machine under the directory: a file system that becomes read-only, a wall clock that is stepped.

Both are made for one process alone, by a library that stands between it and the system (machine.c).
"""

import calendar
import json
import mmap
import pathlib
import re
import sqlite3
import struct
import subprocess
import time

import pytest

import harness
from harness import wait_until
from index_sums import etag

pytestmark = pytest.mark.plain  # the sanitizers' own libraries want to be first

URL = ["10.0.0.1:8001"]
DAY_S = 86400


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("machine") / "machine.so"
    source = pathlib.Path(__file__).with_name("machine.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", path, source], check=True)
    return path


class Machine:
    """What programs see that run with env."""

    def __init__(self, library, folder):
        self.disk = folder / "disk"  # what can become read-only
        self.disk.mkdir()
        path = folder / "machine"
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 16)
        self.env = harness.environment(LD_PRELOAD=str(library), P2P_TEST_MACHINE=str(path),
                                       P2P_TEST_FOLDER=str(self.disk))

    def step(self, seconds):
        """By how much the wall clock is ahead from now on."""
        self.memory[0:8] = struct.pack("q", seconds)

    def read_only(self, is_so):
        self.memory[8:16] = struct.pack("q", is_so)


@pytest.fixture
def machine(library, tmp_path):
    return Machine(library, tmp_path)


def entries(*names):
    return [{"filename": name, "url": URL} for name in names]


def log_in(directory, peer="Peer1", files=None, token=None, **fields):
    fields = {"username": peer, **fields}
    headers = {"Content-Type": "application/json"}
    if files is not None:
        fields.update(files_index=files, index_etag=etag(files))
    if token:
        headers["Authorization"] = f"Bearer {token}"
    else:
        fields["password"] = harness.PASSWORD
    return directory.request("POST", "/login", body=json.dumps(fields).encode(), headers=headers)


def ready(directory):
    reply = directory.get("/readyz")
    return True if reply.status == 200 else reply.json["detail"]


# ---- a file system that is read-only ----

def walk(directory, words):
    """All hits: a page may be short where somebody else had the processor."""
    page = directory.get("/buscar", q=words).json
    hits = page["archivos"]
    while "cursor" in page:
        page = directory.get("/buscar", q=words, cursor=page["cursor"]).json
        hits += page["archivos"]
    return hits


def check_reads(directory, names, live):
    """All ways of reading tell the same."""
    assert directory.files_of("Peer1") == sorted(names)
    assert sorted(directory.peers()) == sorted(live)
    found = walk(directory, "read")
    assert sorted(hit["archivo"] for hit in found) == sorted(names if "Peer1" in live else [])
    body = json.dumps({"filenames": names}).encode()
    many = directory.request("POST", "/buscar_archivos", body=body).json["archivos"]
    for name in names if "Peer1" in live else []:
        assert directory.sources(name) == {"Peer1": URL}
        assert name in [entry["archivo"] for entry in many]


def is_later(reply):
    assert reply.status == 503 and int(reply.headers["Retry-After"]) > 0, reply
    assert "base de datos" in reply.json["detail"]
    return True


def test_reads_go_on_where_nothing_can_be_written(net, machine):
    directory = net.directory(env=machine.env, arguments=["--database", machine.disk / "index.db"])
    before, after = entries("read 1", "read 2"), entries("read 1", "read 3")
    token = log_in(directory, files=before).json["token"]
    assert ready(directory) is True
    machine.read_only(True)
    for _ in range(3):
        assert is_later(log_in(directory, files=after))
        assert is_later(log_in(directory, token=token, index_base=etag(before), index_etag=etag(after),
                               files_added=[{"filename": "read 3"}], files_removed=["read 2"]))
        assert log_in(directory, token=token, index_etag=etag(before)).json["index_needed"] is False
        assert log_in(directory, "Peer2").status == 200  # who brings nothing is there all the same
        check_reads(directory, ["read 1", "read 2"], ["Peer1", "Peer2"])
    wait_until(lambda: ready(directory) is not True, 5, "the directory to say so")
    assert "No se puede guardar" in ready(directory)
    assert directory.get("/healthz").status == 200
    assert "Read-only file system" in directory.log
    machine.read_only(False)
    wait_until(lambda: ready(directory) is True, 10, "it to recover by itself")
    assert log_in(directory, files=after).json["index_needed"] is False
    wait_until(lambda: "works again" in directory.log, 5)
    directory.kill()
    directory.start()
    check_reads(directory, ["read 1", "read 3"], ["Peer1", "Peer2"])
    assert log_in(directory, token=token, index_etag=etag(after)).json["index_needed"] is False


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_only_reads(directory, token, files, live):
    """A directory that could write nothing from the start does all but storing."""
    names = [entry["filename"] for entry in files]
    check_reads(directory, names, live)
    assert is_later(log_in(directory, files=entries("read 1", "new")))
    reply = log_in(directory, token=token, index_etag=etag(files)).json
    assert (reply["token"], reply["index_needed"]) == (token, False)
    assert "No se puede guardar" in ready(directory)
    assert directory.get("/healthz").status == 200
    check_reads(directory, names, live)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_start_where_nothing_can_be_written(net, machine, how):
    """It serves what is stored, changes nothing, and stores as soon as it can."""
    directory = net.directory(env=machine.env, arguments=["--database", machine.disk / "index.db"])
    files, after = entries("read 1", "read 2"), entries("read 3")
    token = log_in(directory, files=files).json["token"]
    getattr(directory, how)()
    before = contents(machine.disk)
    assert any(name.endswith("-wal") for name in before) == (how == "kill")
    machine.read_only(True)
    directory.start()
    check_only_reads(directory, token, files, ["Peer1"])
    assert log_in(directory, "Peer2").status == 200  # who brings nothing is there all the same
    time.sleep(2.5)
    check_only_reads(directory, token, files, ["Peer1", "Peer2"])
    told = [line for line in directory.log.splitlines() if "cannot store who is alive" in line]
    assert len(told) == 1 and "index.db" in told[0] and "Read-only file system" in told[0]
    assert contents(machine.disk) == before
    machine.read_only(False)
    wait_until(lambda: check_reads(directory, ["read 1", "read 2"], ["Peer1", "Peer2"]) or
               ready(directory) is True, 10, "it to go over by itself")
    assert directory.log.count("works again") == 1
    assert log_in(directory, files=after).json["index_needed"] is False
    check_reads(directory, ["read 3"], ["Peer1", "Peer2"])
    directory.kill()
    directory.start()
    check_reads(directory, ["read 3"], ["Peer1", "Peer2"])
    assert log_in(directory, token=token, index_etag=etag(after)).json["token"] == token


def without_its_index(database):
    """The log's: each reader makes his own."""
    database.with_name("index.db-shm").unlink()


def unfinished(database):
    database.with_name("index.db-journal").write_bytes(b"x" * 512)


def older(database):
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version=6")
    connection.close()


def without_words(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE state SET value=0 WHERE key='folding'")
    connection.close()


@pytest.mark.parametrize("change, says", [
    (without_its_index, None), (unfinished, "unfinished change"), (older, "has version 6"),
    (without_words, "indexed anew")])
def test_what_can_be_read_only(net, machine, change, says):
    """What is not as it would be served is not served, and nothing is changed."""
    database = machine.disk / "index.db"
    directory = net.directory(env=machine.env, arguments=["--database", database])
    log_in(directory, files=entries("read 1"))
    directory.kill()
    change(database)
    before = contents(machine.disk)
    machine.read_only(True)
    directory.start(wait=says is None)
    if says is None:
        check_reads(directory, ["read 1"], ["Peer1"])
    else:
        directory.expected_end = True
        assert directory.process.wait(10) == 2
        line, = directory.log.splitlines()
        assert "index.db" in line and "Read-only file system" in line and says in line
    assert contents(machine.disk) == before


# ---- a clock that is stepped ----

def check_step(daemon, seconds):
    """That it sees the other time at all: its log has it, when there is something to tell."""
    def is_told():
        stamp = re.findall(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", daemon.log, re.MULTILINE)[-1]
        told = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S"))
        return abs(told - time.time() - seconds) < 3600

    wait_until(is_told, 3, "a line in the log of the other day")


def log_out(directory, token):
    headers = {"Authorization": f"Bearer {token}"}
    assert directory.request("POST", "/logout", headers=headers).status == 200


@pytest.mark.parametrize("how, step", [("kill", DAY_S), ("terminate", -DAY_S)])
def test_a_stepped_clock_expires_nobody_and_keeps_nobody(net, machine, how, step):
    """Who logs in stays, who does not goes in time; tokens, lists and the files of who is away stay."""
    expiry = 3
    directory = net.directory(env=machine.env, expiry=expiry, arguments=["--retention", "1"])
    files = entries("read 1")
    log_out(directory, log_in(directory, "Peer2", entries("kept")).json["token"])
    token = log_in(directory, files=files).json["token"]
    silent_since = time.monotonic()
    log_in(directory, "Peer3")

    def beat():
        reply = log_in(directory, token=token, index_etag=etag(files)).json
        assert reply["token"] == token and reply["index_needed"] is False
        assert directory.sources("read 1") == {"Peer1": URL}
        assert directory.files_of("Peer2") == ["kept"]
        return directory.peers()

    machine.step(step)
    assert beat() == ["Peer1", "Peer3"]
    wait_until(lambda: beat() == ["Peer1"], expiry, "Peer3 to expire")
    assert time.monotonic() - silent_since > expiry - 0.1
    check_step(directory, step)
    getattr(directory, how)()
    machine.step(-step)
    directory.start()
    assert beat() == ["Peer1"]
    last = time.monotonic()
    wait_until(lambda: directory.peers() == [], expiry, "Peer1 to expire")
    assert time.monotonic() - last > expiry - 0.1
    check_step(directory, -step)
    assert directory.files_of("Peer2") == ["kept"]


def test_peers_whose_clock_is_stepped(net, machine):
    """They go on logging in, and send each other files."""
    expiry = 3
    directory = net.directory(env=machine.env, expiry=expiry)
    peers = [net.peer(f"Peer{number}", directory, files={f"of {number}": b"x" * 100_000},
                      env=machine.env) for number in (1, 2)]
    for peer in peers:
        directory.wait_for_peer(peer.name)
    for step in (DAY_S, -DAY_S):
        machine.step(step)
        end = time.monotonic() + expiry + 1
        while time.monotonic() < end:
            assert sorted(directory.peers()) == ["Peer1", "Peer2"]
            time.sleep(0.1)
    assert peers[0].command("get", "of 2").returncode == 0
    assert (peers[0].share / "of 2").read_bytes() == b"x" * 100_000
    directory.wait_for_files("Peer1", ["of 1", "of 2"])
    peers[0].terminate()
    check_step(peers[0], -DAY_S)
