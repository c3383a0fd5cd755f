"""What a hostile client or an odd start can do to the directory, beyond the faults of the other files."""

import os
import signal
import socket
import subprocess
import time

import pytest

import harness
from harness import wait_until
from test_directory_faults import dial

HEAD = b"POST /login?username=Peer1&password=sd1234 HTTP/1.1\r\nHost: h\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("headers, body", [
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
    (b"Content-Length: 0\r\nContent-Length: 40\r\n", b""),
    (b"Content-Length: 0\r\nContent-Length: 0\r\n", b""),
    (b"Transfer-Encoding: gzip\r\n", b""),
    (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length : %d\r\n" % len(NEXT), b""),
    (b"content-length\t: %d\r\n" % len(NEXT), b""),
    (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length:\r\n %d\r\n" % len(NEXT), b""),
    (b"X: y\r\n Content-Length: %d\r\n" % len(NEXT), b""),
    (b"transfer-encoding:\r\n\tchunked\r\n", b"0\r\n\r\n"),
], ids=["both", "both-turned", "two-lengths", "the-same-twice", "gzip", "gzip-chunked", "two-encodings",
        "blank", "tab", "blank-encoding", "goes-on", "goes-on-as-length", "goes-on-encoding"])
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_a_length_that_can_be_read_in_two_ways(directory, method, headers, body):
    """RFC 9112 6.3: what follows could be a request to us and a body to a proxy before us."""
    with dial(directory) as connection:
        connection.sendall(HEAD.replace(b"POST", method) + headers + b"\r\n" + body + NEXT)
        data = connection.makefile("rb").read()  # to the end: the connection is closed
    assert data.startswith(b"HTTP/1.1 400 ")
    assert data.count(b"HTTP/1.1 ") == 1
    assert b'{"detail":"' in data
    assert directory.peers() == []


@pytest.mark.parametrize("version, headers, status", [
    (b"1.1", b"Host: h\r\n", 200), (b"1.1", b"Host:\r\n", 200), (b"1.0", b"", 200),
    (b"1.1", b"", 400), (b"1.1", b"Host: h\r\nhost: g\r\n", 400), (b"1.0", b"Host: h\r\nHost: h\r\n", 400),
], ids=["one", "empty", "none in 1.0", "none", "two", "two in 1.0"])
def test_one_host_header(directory, version, headers, status):
    """RFC 9112 3.2; the reference's server refuses too."""
    with dial(directory) as connection:
        connection.sendall(b"GET / HTTP/" + version + b"\r\n" + headers + b"Connection: close\r\n\r\n")
        data = connection.makefile("rb").read()
    assert data.startswith(b"HTTP/1.1 %d " % status) or data.startswith(b"HTTP/1.0 %d " % status)
    assert (b"una cabecera Host" in data) == (status == 400)


def test_started_without_standard_files(net):
    """Log lines never go into the file that took a closed descriptor's number."""
    directory = net.directory()
    directory.terminate()
    process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *directory._argv()],
                               env=harness.environment(), cwd=directory.folder)
    try:
        wait_until(lambda: reached(directory), what="the directory")
        assert {os.readlink(f"/proc/{process.pid}/fd/{i}") for i in range(3)} == {"/dev/null"}
    finally:
        process.terminate()
        assert process.wait(10 * harness.PATIENCE) == 0


def reached(directory):
    try:
        return directory.get("/").status == 200
    except OSError:
        return False


def test_more_connections_than_the_limit(net):
    """When all of them are gone at once, the next is served: the listener is not forgotten."""
    directory = net.directory()
    directory.terminate()
    process = subprocess.Popen(["sh", "-c", 'ulimit -n 300; exec "$@"', "sh", *directory._argv()],
                               env=harness.environment(), cwd=directory.folder,
                               stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: reached(directory), what="the directory")
        many = [socket.create_connection(("127.0.0.1", directory.port)) for _ in range(400)]
        wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) > 180, what="the limit")
        process.send_signal(signal.SIGSTOP)  # so that it sees all of them go in one round
        for connection in many:
            connection.close()
        process.send_signal(signal.SIGCONT)
        time.sleep(2)  # what was in the queue has gone by itself
        assert directory.request("GET", "/", timeout=5).status == 200
    finally:
        process.terminate()
        assert process.wait(10 * harness.PATIENCE) == 0
