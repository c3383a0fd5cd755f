"""HTTP itself: however requests are cut, put together or left unfinished, each gets its own whole answer, or a reason."""

import json
import os
import pathlib
import resource
import socket
import threading
import time
import urllib.parse

import pytest

import harness
from harness import wait_until
from test_directory_faults import alive, answer, dial, send

SEARCH = b"GET /buscar_archivos?filename=F HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Replies:
    """Reads one reply after the other from a connection."""

    def __init__(self, connection):
        self.file = connection.makefile("rb")

    def next(self, has_body=True):
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if not has_body:
            return status, headers, b""
        if headers.get("transfer-encoding") != "chunked":
            return status, headers, self.file.read(int(headers["content-length"]))
        body = b""
        while (size := int(self.file.readline(), 16)) > 0:
            body += self.file.read(size)
            assert self.file.read(2) == b"\r\n"
        assert self.file.readline() == b"\r\n"
        return status, headers, body


def test_a_request_in_single_bytes(directory):
    directory.login("Peer1", files=["F"])
    with dial(directory) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = Replies(connection)
        for _ in range(3):
            for byte in SEARCH:
                connection.sendall(bytes([byte]))
            assert json.loads(replies.next()[2])["archivo"] == "F"


def test_a_slow_first_byte(directory):
    with dial(directory) as connection:
        time.sleep(3)
        connection.sendall(LAST)
        assert answer(connection)[0] == 200


@pytest.mark.parametrize("size", [3, 5000, 20000, 60000])
def test_a_long_line_after_a_short_one(directory, size):
    """On one connection targets may have any length up to the cap, in any order."""
    long = b"GET /" + b"x" * size + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    with dial(directory) as connection:
        replies = Replies(connection)
        for request, status in ((LAST.replace(b"close", b"x"), 200), (long, 404)) * 3:
            connection.sendall(request)
            assert replies.next()[0] == status
        connection.sendall((long + SEARCH) * 5)
        assert [replies.next()[0] for _ in range(10)] == [404] * 10


def login_of(size):
    """By query string, as the reference's peers send it, with a target of about so many bytes."""
    files = [{"filename": f"file {i:05}"} for i in range(size // 50)]
    text = urllib.parse.quote_plus(json.dumps(files, separators=(",", ":")))
    target = f"/login?username=Peer1&password=sd1234&files_index={text}"
    return f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode(), len(files)


def test_a_long_login_after_short_requests(directory):
    """And after it others, one by one and in one go; nothing of a longer request shows in a shorter one."""
    with dial(directory) as connection:
        replies = Replies(connection)
        for size in (60000, 500, 60000, 20000):
            for _ in range(3):
                connection.sendall(SEARCH)
                assert replies.next()[0] == 404
            long, count = login_of(size)
            assert size * 0.8 < len(long) < 65536
            connection.sendall(long)
            assert replies.next()[0] == 200
            assert len(directory.files_of("Peer1")) == count
        connection.sendall((login_of(60000)[0] + SEARCH) * 3)
        assert [replies.next()[0] for _ in range(6)] == [200, 404] * 3
    assert len(directory.files_of("Peer1")) == login_of(60000)[1]


def test_a_long_login_of_who_shuts_his_side(directory):
    long, count = login_of(60000)
    with dial(directory) as connection:
        connection.sendall(SEARCH + long)
        connection.shutdown(socket.SHUT_WR)
        data = connection.makefile("rb").read()
    assert data.startswith(b"HTTP/1.1 404 ") and data.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert len(directory.files_of("Peer1")) == count


def test_thousands_of_requests_in_one_go(directory):
    """More than one turn of a loop, and more than the socket takes before they are read."""
    count = harness.amount(20000, 8000)
    with dial(directory) as connection:
        writer = threading.Thread(target=connection.sendall, args=(SEARCH * count + LAST,))
        writer.start()
        data = connection.makefile("rb").read()
        writer.join()
    assert data.count(b"HTTP/1.1 404 Not Found\r\n") == count
    assert data.count(b"HTTP/1.1 200 OK\r\n") == 1


@pytest.mark.long
def test_half_closed(directory):
    """Who ends its side after the request still gets the answer; half a request gets none."""
    with dial(directory) as connection:
        connection.sendall(SEARCH * 3)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read().count(b"HTTP/1.1 404 ") == 3
    with dial(directory) as connection:
        connection.sendall(SEARCH[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    with dial(directory) as connection:
        connection.sendall(b"POST /login?username=Peer1&password=sd1234 HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection)[0] == 200


def test_http_1_0(directory):
    directory.login("Peer1", files=["F"])
    status, body = send(directory, b"GET /buscar_archivos?filename=F HTTP/1.0\r\n\r\n")
    assert status == 200 and json.loads(body)["archivo"] == "F"
    status, body = send(directory, b"GET /ver_archivos HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert status == 200 and len(json.loads(body)["archivos"]) == 1  # no chunks: ended by the close
    with dial(directory) as connection:
        replies = Replies(connection)
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, headers, _ = replies.next()
            assert status == 200 and headers["connection"].lower() == "keep-alive"


def test_head(directory):
    directory.login("Peer1", files=["F"])
    with dial(directory) as connection:
        replies = Replies(connection)
        for target in (b"/buscar_archivos?filename=F", b"/nothing"):
            get = b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n"
            connection.sendall(get.replace(b"GET", b"HEAD") + get)
            head, whole = replies.next(has_body=False), replies.next()
            assert head[0] == whole[0] and len(whole[2]) > 0
            for header in ("content-type", "content-length"):
                assert head[1][header] == whole[1][header]
    with dial(directory) as connection:
        connection.sendall(b"HEAD /ver_archivos HTTP/1.1\r\nHost: h\r\n\r\n")
        status, headers, _ = Replies(connection).next(has_body=False)
        assert status == 200 and headers["connection"] == "close"


@pytest.mark.parametrize("part", [1, 7, 100000])
def test_a_body_in_chunks(directory, part):
    body = json.dumps({"username": "Peer1", "password": "sd1234",
                       "files_index": [{"filename": f"file {i}"} for i in range(20)]}).encode()
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(body[i:i + 50]), body[i:i + 50])
                      for i in range(0, len(body), 50)) + b"0\r\nTrailer: x\r\n\r\n"
    request = (b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    with dial(directory) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = Replies(connection)
        for i in range(0, len(request), part):
            connection.sendall(request[i:i + part])
        connection.sendall(SEARCH)
        assert [replies.next()[0], replies.next()[0]] == [200, 404]
    assert len(directory.files_of("Peer1")) == 20


def test_a_client_that_asks_before_it_sends(directory):
    body = b"username=Peer1&password=sd1234"
    with dial(directory) as connection:
        replies = Replies(connection)
        connection.sendall(b"POST /login HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Type: "
                           b"application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert replies.next(has_body=False)[0] == 100
        connection.sendall(body)
        assert replies.next()[0] == 200


def test_an_answer_that_waits_behind_a_slow_one(directory):
    """A login that waits for Argon2 holds up what comes after it on that connection, and nothing else."""
    wrong = b"POST /login?username=Peer1&password=no HTTP/1.1\r\nHost: h\r\n\r\n"
    with dial(directory) as connection:
        replies = Replies(connection)
        connection.sendall(wrong)
        for i in range(30):
            connection.sendall(SEARCH[i:i + 1])
            time.sleep(0.002)
        connection.sendall(SEARCH[30:])
        assert [replies.next()[0], replies.next()[0]] == [401, 404]


@pytest.mark.plain
def test_ten_thousand_idle_connections(net):
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * count:
        pytest.skip("not enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * count, hard))
    connections = []
    try:
        directory = net.directory()
        before = directory.status_value("VmRSS")
        for i in range(count):
            connection = dial(directory)
            if i % 2:
                connection.sendall(SEARCH)
                assert connection.recv(4096).startswith(b"HTTP/1.1 404 ")
            connections.append(connection)
            if i % 1000 == 0:
                assert alive(directory)
        # Who has asked something keeps a page for it; with the library's own memory 68 KiB.
        maps = pathlib.Path(f"/proc/{directory.process.pid}/maps").read_text()
        each = 96 if "libmicrohttpd.so" in maps else 16
        assert directory.status_value("VmRSS") - before < count // 2 * each
        began = time.monotonic()
        assert alive(directory)
        assert time.monotonic() - began < 2
        for connection in connections:
            connection.close()
        wait_until(lambda: len(os.listdir(f"/proc/{directory.process.pid}/fd")) < 100, 30, "their end")
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
