"""Readers that are slow, stop, shut one side or vanish: they cost little, and nobody waits for them."""

import contextlib
import http.client
import json
import pathlib
import socket
import sqlite3
import struct
import threading
import time

import pytest

import harness
from harness import PATIENCE, wait_until

URLS = [f"h{number}.{'x' * 990}:8001" for number in range(64)]
LIMIT_S = 15  # a reply must make some progress in that time
LOG_BYTES = 24 << 20  # the log begins anew when it has 16 MiB; a transaction comes on top


def dial(directory, window=None):
    """With a window this small the receiver's system takes next to nothing that is not read."""
    connection = socket.socket()
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(30 * PATIENCE)
    connection.connect(("127.0.0.1", directory.port))
    return connection


def request(method, target, body=None):
    headers = {}
    if body is not None:
        headers = {"Content-Type": "application/json", "Content-Length": len(body)}
    lines = [f"{method} {target} HTTP/1.1", "Host: h",
             *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def login(peer="Peer1", password=harness.PASSWORD, files=None):
    fields = {"username": peer, "password": password}
    if files is not None:
        fields["files_index"] = files
    return json.dumps(fields).encode()


def store(directory, peer, files):
    reply = directory.request("POST", "/login", body=login(peer, files=files), timeout=60,
                              headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply


def log_bytes(directory):
    return pathlib.Path(f"{directory.database}-wal").stat().st_size


def crowd(directory, count, shared=None, is_there=lambda number: True):
    """Puts so many peers into the database, who are there when it starts again, or were once. All of
    them share the name, which somebody must have already."""
    directory.terminate()
    with contextlib.closing(sqlite3.connect(directory.database)) as database:
        state = dict(database.execute("SELECT key, value FROM state"))
        # Blocks of times that are newer than the clock would hide those of their ids that follow.
        database.execute("DELETE FROM seen")
        last, = database.execute("SELECT max(id) FROM peers").fetchone()
        database.executemany(
            "INSERT INTO peers(id, name, token, seen_ms, sequence, epoch) VALUES(?, ?, '', ?, ?, ?)",
            ((last + i, f"{i:0120}", state["written_ms"] if is_there(i) else 1, 1000 + i, state["epoch"])
             for i in range(1, count + 1)))
        if shared:
            name_id, = database.execute("SELECT id FROM names WHERE name=?", (shared,)).fetchone()
            database.executemany("INSERT INTO files(name_id, peer_id) VALUES(?, ?)",
                                 ((name_id, last + i) for i in range(1, count + 1)))
        database.commit()
    directory.start()


@contextlib.contextmanager
def working(*functions):
    """Each over and over on a thread of its own; the first failure is raised at the end."""
    stop, failures = threading.Event(), []

    def go(function):
        try:
            while not stop.is_set():
                function()
        except BaseException as failure:  # also what pytest raises
            failures.append(failure)

    threads = [threading.Thread(target=go, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


class Readers:
    """Lists that are asked for, of which some bytes are read now and then or none."""

    def __init__(self, directory, count):
        self.connections = []
        for number in range(count):
            connection = dial(directory, 4096)
            connection.sendall(request("GET", ["/ver_archivos", "/peers_activos"][number % 2]))
            self.connections.append(connection)

    def nibble(self):
        time.sleep(0.5)
        for connection in self.connections[:len(self.connections) // 2]:
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                connection.recv(1, socket.MSG_DONTWAIT)

    def close(self):
        for connection in self.connections:
            connection.close()


@pytest.mark.long
@pytest.mark.plain
def test_readers_of_lists_who_hardly_read(net):
    """Memory, the log and others' times are as without them, and their time is over in the end."""
    directory = net.directory(expiry=600)
    store(directory, "Peer1", [{"filename": f"{i:0200}"} for i in range(30000)])
    store(directory, "Peer2", [{"filename": f"{i}", "url": URLS if i else []} for i in range(140)])
    crowd(directory, 60000)
    slowest = 0
    number = 0

    def others():
        nonlocal slowest, number
        begin = time.monotonic()
        number += 1
        store(directory, "Peer3", [{"filename": f"{number} {i:0100}"} for i in range(1000)])
        assert directory.sources(f"{number} {0:0100}") == {"Peer3": []}
        slowest = max(slowest, time.monotonic() - begin)

    others()
    assert len(directory.get("/ver_archivos").json["archivos"]) == 31140
    assert len(directory.peers()) == 60000 + 3
    before = directory.status_value("RssAnon"), directory.descriptors()
    readers = Readers(directory, 80)
    begin = time.monotonic()
    try:
        largest = longest = 0
        with working(others, readers.nibble):
            while directory.descriptors() > before[1] + 2 and time.monotonic() - begin < 60:
                largest = max(largest, directory.status_value("RssAnon"))
                longest = max(longest, log_bytes(directory))
                time.sleep(0.1)
        assert LIMIT_S - 2 < time.monotonic() - begin < LIMIT_S + 15
    finally:
        readers.close()
    assert largest - before[0] < 80 * 400  # KiB; libmicrohttpd takes 96 of them
    assert longest < LOG_BYTES
    assert slowest < 10
    wait_until(lambda: directory.descriptors() <= before[1], 5, "the descriptors")
    assert len(directory.get("/ver_archivos").json["archivos"]) == 31140


@pytest.mark.plain
def test_a_name_that_very_many_have(net):
    """All are told, in order; who does not read what he asked for costs next to no memory."""
    directory = net.directory(expiry=600)
    directory.login("Peer1", files=["desktop.ini"])
    # The first ones are away, then longer rows of them than are read at once, and the last ones.
    crowd(directory, 40000, "desktop.ini", lambda i: i > 5000 and i // 6000 % 2 == 0 and i < 39000)
    there = [f"{i:0120}" for i in range(1, 40001) if i > 5000 and i // 6000 % 2 == 0 and i < 39000]

    def told(limit="", client="127.0.0.1"):
        with contextlib.closing(http.client.HTTPConnection(
                "127.0.0.1", directory.port, source_address=(client, 0))) as connection:
            connection.request("GET", f"/buscar_archivos?filename=desktop.ini{limit}")
            reply = json.loads(connection.getresponse().read())
        assert reply.pop("archivo") == "desktop.ini"
        return [entry["peer"] for entry in reply.pop("disponible_en")], reply

    assert told() == (["Peer1", *there], {})
    # Of too many each client is told others, and always the same ones.
    clients = [f"127.0.0.{number}" for number in range(1, 41)]
    answers = [told("&limit=1000", client) for client in clients]
    assert all(len(peers) == len({*peers} & {"Peer1", *there}) == 1000 and more == {"truncated": True}
               for peers, more in answers)
    assert told("&limit=1000", clients[7]) == answers[7]
    # Twenty thousand, forty times a thousand: 13,000 of them by chance.
    assert len({peer for peers, _ in answers for peer in peers}) > 7000
    many = directory.request("POST", "/buscar_archivos", body=b'{"filenames":["a","desktop.ini"]}').json
    assert [entry["peer"] for entry in many["archivos"][0]["disponible_en"]] == answers[0][0]
    assert len(told("&limit=1")[0]) == 1
    for limit in ("0", "1001", "x", "1%00"):
        assert directory.get(f"/buscar_archivos?filename=desktop.ini&limit={limit}").status == 400
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", directory.port)) as connection:
        connection.request("HEAD", "/buscar_archivos?filename=desktop.ini")
        assert connection.getresponse().status == 200
    before = directory.status_value("RssAnon")
    readers = [dial(directory, 4096) for _ in range(60)]
    for reader in readers:
        reader.sendall(request("GET", "/buscar_archivos?filename=desktop.ini"))
        assert reader.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    assert directory.status_value("RssAnon") - before < 60 * 400  # KiB; a whole reply has 3 MiB
    for reader in readers:
        reader.close()


@pytest.mark.plain
def test_the_log_begins_anew_while_no_loop_ever_waits(directory):
    """A loop that is never idle gives up its state of the database all the same."""
    directory.login("Peer1", files=["a"])
    search = request("GET", "/buscar_archivos?filename=a")
    cheap = request("GET", "/") * 1000
    floods = [dial(directory) for _ in range(3)]  # each loop has one, most likely

    def send(connection):
        connection.sendall(cheap)

    def discard(connection):
        connection.recv(1 << 20)

    with contextlib.ExitStack() as stack:
        for connection in floods:
            stack.callback(connection.close)
            connection.sendall(search)
            stack.enter_context(working(lambda c=connection: send(c), lambda c=connection: discard(c)))
        written = 0
        for number in range(10):
            store(directory, "Peer2", [{"filename": f"{number % 2} {i:0240}"} for i in range(6000)])
            written = max(written, log_bytes(directory))
    assert written < LOG_BYTES


def test_who_shuts_his_sending_side_still_gets_his_reply(directory):
    """At once, or after his login has waited for a password or the database."""
    store(directory, "Peer1", [{"filename": f"{i:0200}"} for i in range(20000)])
    idle = [dial(directory) for _ in range(6)]  # their loops have others to look at first
    for number in range(5):
        requests = {
            "search": (request("GET", f"/buscar_archivos?filename={7:0200}"), 200),
            "list": (request("GET", "/ver_archivos"), 200),
            "stored": (request("POST", "/login", login("Peer2", files=[{"filename": f"{number}"}])), 200),
            "password": (request("POST", "/login", login("Peer3", "wrong")), 401)}
        connections = {name: dial(directory) for name in requests}
        for name, connection in connections.items():
            connection.sendall(requests[name][0])
            connection.shutdown(socket.SHUT_WR)
        for name, connection in connections.items():
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            assert reply.status == requests[name][1], name
            assert json.loads(reply.read())
            connection.close()
        assert directory.sources(f"{number}") == {"Peer2": []}
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("how", ["closed", "shut", "reset"])
def test_who_goes_in_the_middle_leaves_nothing_behind(directory, how):
    """Of a head, of a body, while his login waits for its turn, while he is sent a list."""
    store(directory, "Peer1", [{"filename": f"{i:0200}"} for i in range(20000)])
    assert directory.login("Peer2", files=["as it was"]).status == 200
    before = directory.descriptors()
    change = request("POST", "/login", login("Peer2", files=[{"filename": f"new {i}"} for i in range(9)]))
    parts = {"head": change[:40], "body": change[:-5],
             "verified": request("POST", "/login", login("Peer3", "wrong")),
             "long": request("POST", "/login", login("Peer4", files=[{"filename": f"{i:0200}"}
                                                                     for i in range(5000)])),
             "list": request("GET", "/ver_archivos")}
    connections = []
    for _ in range(harness.amount(8, 3)):
        for name, data in parts.items():
            connection = dial(directory, 4096 if name == "list" else None)
            connection.sendall(data)
            if name == "list":
                connection.recv(100)
            if how == "shut":
                connection.shutdown(socket.SHUT_WR)
                connections.append(connection)
                continue
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    assert directory.files_of("Peer2") == ["as it was"]
    wait_until(lambda: directory.descriptors() <= before, LIMIT_S, "the descriptors")
    assert directory.get("/readyz").status == 200
    for connection in connections:
        connection.close()
