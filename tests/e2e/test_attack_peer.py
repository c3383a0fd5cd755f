"""What a hostile source or an odd start can do to a peer, beyond the faults of the other files."""

import http.server
import json
import threading
import time

import pytest

import harness
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


def test_a_hundred_thousand_sources(net, answering):
    """Neither does the search's answer become too large, nor a download a life's work."""
    url, answers = answering
    answers += [{"peer": f"p{i}", "url": ["127.0.0.1:1"]} for i in range(100000)]
    peer = net.peer("Peer1", url)
    found = peer.command("search", "a", "--json")
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["sources"]) == 1000
    result = peer.command("get", "a", timeout=40)
    assert result.returncode == 4
    assert "p0 (127.0.0.1:1)" in result.stderr
