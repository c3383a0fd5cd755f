"""What a hostile source or an odd start can do to a peer, beyond the faults of the other files."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import wait_until
from test_peer_downloads import BrokenPeer


def says_nothing_for_ever(peer, context):
    while context.is_active() and not peer.release.wait(0.05):
        yield b""


def test_empty_messages_are_no_data(net):
    """A source that only ever sends messages without a byte has its turn like one that is silent."""
    source = net.reference_peer(BrokenPeer, behave=says_nothing_for_ever)
    peer = net.peer()
    started = time.monotonic()
    result = peer.command("get", "a.bin", "--from", source.address, timeout=25)
    assert result.returncode == 4, result.stderr
    assert "no envía datos" in result.stderr
    assert time.monotonic() - started < 20 * harness.PATIENCE
    assert peer.names() == []


def closed_standard_files(pid):
    """What the first three descriptors are; gRPC's own event has one before main can act."""
    links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
    return [link for link in links if link != "anon_inode:[eventfd]"]


def test_started_without_standard_files(net):
    """Log lines and results never go into the file that took a closed descriptor's number."""
    peer = net.peer(files={"a.bin": "x"})
    peer.terminate()
    process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *peer.argv],
                               env=harness.environment(), cwd=peer.folder)
    try:
        wait_until(lambda: peer.command("status").returncode == 0, what="the daemon")
        assert set(closed_standard_files(process.pid)) == {"/dev/null"}
    finally:
        process.terminate()
        assert process.wait(10 * harness.PATIENCE) == 0


def test_results_to_a_closed_standard_output(net):
    source = net.peer("Peer2", files={"a.bin": "x" * 100})
    peer = net.peer()
    argv = [str(harness.PEER_PROGRAM), "get", "--config", str(peer.config_path), "a.bin",
            "--from", source.address, "--output", "-"]
    result = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *argv], env=harness.environment(),
                            stderr=subprocess.PIPE, text=True, timeout=30 * harness.PATIENCE)
    assert result.returncode == 1
    assert "No se puede escribir en la salida" in result.stderr


@pytest.fixture
def answering():
    """A directory that answers every search with what the test puts into its list."""
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def reply(self, answer):
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.reply({"archivo": "a", "disponible_en": answers})

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.reply({"status": "OK", "token": "t"})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    answers_url = f"http://127.0.0.1:{server.server_port}"
    yield answers_url, answers
    server.shutdown()
    server.server_close()


def test_a_file_that_nobody_has(net, answering):
    """A list of nobody: nothing is found, whoever asks how."""
    peer = net.peer("Peer1", answering[0])
    for more in [], ["--json"], ["--exact"], ["--exact", "--json"]:
        found = peer.command("search", "a", *more)
        assert found.returncode == 3 and "no está disponible" in found.stderr


def test_a_hundred_thousand_sources(net, answering):
    """Neither does the search's answer become too large, nor a download a life's work."""
    url, answers = answering
    answers += [{"peer": f"p{i}", "url": ["127.0.0.1:1"]} for i in range(harness.amount(100000, 20000))]
    peer = net.peer("Peer1", url)
    found = peer.command("search", "a", "--json")
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["sources"]) == 1000
    result = peer.command("get", "a", timeout=40)
    assert result.returncode == 4
    assert re.search(r"\bp\d+ \(127\.0\.0\.1:1\)", result.stderr)


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def frame(kind, flags, stream, data=b""):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def calls_without_a_window(peer, path, count):
    """A connection that makes so many calls and never lets a byte of a reply pass."""
    head = b"".join(literal(*field) for field in (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("te", "trailers"), ("content-type", "application/grpc")))
    connection = socket.create_connection(("127.0.0.1", peer.port))
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\0\4\0\0\0\0") +
                       b"".join(frame(1, 4, stream, head) + frame(0, 1, stream, b"\0" * 5)
                                for stream in range(1, 2 * count, 2)))
    return connection


def test_many_who_ask_for_a_long_list(net):
    """A list of many files is made once for all who ask, by no thread that serves others; and those
    who do not read it keep it in memory once."""
    peer = net.peer(files={"a": "x"})
    count = harness.amount(20000, 5000)
    for number in range(count):
        (peer.share / f"{number:050}").touch()
    hostile = [calls_without_a_window(peer, "/peer.PeerService/ListFiles", 60) for _ in range(16)]
    for _ in range(5):
        started = time.monotonic()
        with peer.client() as client:
            client.raw("unary_unary", "/grpc.health.v1.Health/Check")(b"", timeout=30)
        assert time.monotonic() - started < 8 * harness.PATIENCE
        time.sleep(1)
    with peer.client() as client:
        assert len(client.list_files()) == count + 1
    if not harness.SANITIZER:
        assert peer.status_value("VmRSS") < 150 * 1024
    assert peer.terminate() < harness.STOPS_WITHIN
    for connection in hostile:
        connection.close()
