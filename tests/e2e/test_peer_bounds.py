"""What clients can take of a peer: time for each step of a call, calls, uploads, and idle connections."""

import concurrent.futures
import contextlib
import threading
import time

import grpc
import pytest

import reference
from harness import PATIENCE, wait_until
from stubs import content
from stubs import peer as wire
from test_attack_peer import frame, literal
from test_limits import NO_PROXY, Relay
from test_peer_connections import BUSY, GREETING, close_all, connect, connections, limited, still_open
from test_peer_faults import still_serves

CODE = grpc.StatusCode
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
UPLOAD = "/peer.PeerService/UploadFile"

DATA, HEADERS, RESET, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4
NO_WINDOW = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")  # not a byte of a reply may come


def start_of(path):
    return b"".join(literal(*field) for field in (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("te", "trailers"), ("content-type", "application/grpc")))


def message(data=b""):
    return b"\0" + len(data).to_bytes(4, "big") + data


class Calls:
    """A connection that makes so many calls, with one message each or none. It sends no more than
    that; what comes is read, but with window=False no data may."""

    def __init__(self, peer, path, count=1, sent=None, window=True, end=True, source="127.0.0.1"):
        self.socket = connect(peer, source, GREETING)
        self.socket.settimeout(10 * PATIENCE)
        self.streams = range(1, 2 * count, 2)
        self.ended, self.told, self.rest = set(), False, b""
        head = start_of(path)
        with contextlib.suppress(ConnectionError):  # it may have been closed at once
            self.socket.sendall((b"" if window else NO_WINDOW) + b"".join(
                frame(HEADERS, END_HEADERS, stream, head) +
                (b"" if sent is None else frame(DATA, END_STREAM if end else 0, stream, message(sent)))
                for stream in self.streams))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read(self):
        """What has come; which calls have ended is noted."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := self.socket.recv(1 << 20):
                self.rest += data
        while len(self.rest) >= 9 and len(self.rest) >= 9 + int.from_bytes(self.rest[:3], "big"):
            length, kind, flags = int.from_bytes(self.rest[:3], "big"), self.rest[3], self.rest[4]
            stream = int.from_bytes(self.rest[5:9], "big")
            self.rest = self.rest[9 + length:]
            self.told |= kind == DATA
            if kind == RESET or kind in (DATA, HEADERS) and flags & END_STREAM:
                self.ended.add(stream)
            elif kind == SETTINGS and not flags:
                self.socket.setblocking(True)
                self.socket.sendall(frame(SETTINGS, 1, 0))
                self.socket.setblocking(False)
        return len(self.ended)

    def wait_all(self, timeout):
        wait_until(lambda: self.read() == len(self.streams), timeout, "all calls to be ended")


def test_requests_need_no_end(net):
    """A unary call is over with its reply, whether or not the client says that it sends no more."""
    peer = net.peer(files={"a": "x"})
    for path in ("/grpc.health.v1.Health/Check", "/peer.PeerService/ListFiles"):
        for _ in range(3):
            with Calls(peer, path, 500, b"", end=False) as calls:
                calls.wait_all(20)
    with Calls(peer, "/grpc.health.v1.Health/Check", 500, b"", end=False) as calls, \
            peer.client() as client:
        calls.wait_all(20)  # 3,500 such calls by now: none of them has kept its place
        with Calls(peer, WATCH, 1000, b"") as watchers:
            wait_until(lambda: watchers.read() == 0 and watchers.told, what="all to be taken")
            assert client.list_files()
            assert watchers.read() == 0


def resident(peer):
    return peer.status_value("VmRSS")


# ---- time ----

@pytest.mark.plain
def test_calls_without_a_message_are_ended(net):
    """Fifteen seconds for the first one, of every method but those that take in files."""
    peer = net.peer(files={"a": "x"})
    still_serves(peer)
    before = resident(peer)
    begin = time.monotonic()
    paths = ["/peer.PeerService/ListFiles", "/peer.PeerService/DownloadFile",
             "/peer.PeerService/DownloadFiles", "/peer.PeerService/GetManifest",
             "/peer.PeerService/GetAvailability", "/peer.PeerService/Locate", WATCH, REFLECTION]
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(Calls(peer, path, 100)) for path in paths]
        upload = stack.enter_context(Calls(peer, UPLOAD))
        wait_until(lambda: resident(peer) > before + 4 * 1024, what="the calls to be there")
        time.sleep(12)
        assert not any(calls.read() for calls in hostile)
        for calls in hostile:
            calls.wait_all(15)
        assert 14 < time.monotonic() - begin < 40
        assert upload.read() == 0
        still_serves(peer)


@pytest.mark.long
@pytest.mark.plain
def test_receivers_that_take_nothing_are_ended(net):
    """A minute for each reply, whatever the method. Who watches, and has been told all, may stay."""
    peer = net.peer(files={"a": b"x" * 100000})
    name = content.ManifestRequest(filename="a").SerializeToString()

    def is_hashed():
        with peer.client() as client, contextlib.suppress(grpc.RpcError):
            return list(client.raw("unary_stream", "/peer.PeerService/GetManifest")(name))

    wait_until(is_hashed, what="its hashes")
    begin = time.monotonic()
    asked = {"/peer.PeerService/ListFiles": b"", "/peer.PeerService/GetManifest": name,
             "/grpc.health.v1.Health/Check": b"", REFLECTION: b"\x3a\x00"}
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(Calls(peer, path, 20, sent, window=False))
                   for path, sent in asked.items()]
        watchers = stack.enter_context(Calls(peer, WATCH, 20, b""))
        time.sleep(50)
        assert [calls.read() for calls in hostile] == [0] * 4
        for calls in hostile:
            calls.wait_all(40)
        assert time.monotonic() - begin > 58
        assert watchers.read() == 0 and watchers.told
    still_serves(peer)


# ---- numbers ----

def test_one_host_has_a_number_of_calls(net):
    """What is more is refused with a clear text, and other hosts are served."""
    peer = net.peer(files={"a": "x"})
    still_serves(peer)
    before = resident(peer)
    with Calls(peer, WATCH, 1000, b"") as first, Calls(peer, WATCH, 100, b"") as second, \
            Relay(peer, "127.0.0.2") as relay:
        wait_until(lambda: first.read() + second.read() == 76, what="what is too much to be refused")
        with peer.client() as client, pytest.raises(grpc.RpcError) as refusal:
            client.list_files()
        assert refusal.value.code() == CODE.RESOURCE_EXHAUSTED
        assert refusal.value.details() == \
            "Demasiadas llamadas a la vez a este peer: inténtelo más tarde"
        other = net.peer("Peer2")
        result = other.command("list", peer.address)
        assert result.returncode == 1
        assert "Demasiadas llamadas a la vez a este peer" in result.stderr
        assert other.command("list", relay.address).returncode == 0
        if PATIENCE == 1:
            assert resident(peer) - before < 40 * 1024
    wait_until(lambda: other.command("list", peer.address).returncode == 0, what="the places")


class SlowUpload:
    """An upload that sends a first message, and the end when it is told."""

    def __init__(self, address, name):
        self.enough = threading.Event()
        self.channel = grpc.insecure_channel(
            address, options=[*NO_PROXY, ("grpc.use_local_subchannel_pool", 1)])
        call = self.channel.stream_unary(UPLOAD, wire.UploadChunk.SerializeToString,
                                         wire.UploadResponse.FromString)
        self.answer = call.future(self.messages(name), timeout=120 * PATIENCE)

    def messages(self, name):
        yield wire.UploadChunk(filename=name, data=b"x" * 1000)
        self.enough.wait(100 * PATIENCE)

    def end(self):
        self.enough.set()
        answer = self.answer.result()
        self.channel.close()
        return answer


def test_one_host_has_a_number_of_uploads(net):
    """Sixteen; one more is answered as all refusals are, with ok=false and the reason."""
    peer = net.peer()
    uploads = [SlowUpload(peer.address, f"{number}") for number in range(16)]
    wait_until(lambda: len(peer.names()) == 16, 20, "sixteen uploads")
    text = "Demasiadas subidas a la vez a este peer: inténtelo más tarde"
    with peer.client() as client:
        for _ in range(3):
            answer = client.upload("late", b"y" * 1000)
            assert not answer.ok and answer.message == text
    sender = net.peer("Peer2", files={"late": "y"})
    result = sender.command("put", "late", peer.address)
    assert result.returncode == 1 and text in result.stdout + result.stderr
    with Relay(peer, "127.0.0.2") as relay:  # another host
        with reference.ReferenceClient(relay.address, timeout=30 * PATIENCE) as client:
            assert client.upload("other", b"z").ok
    assert all(upload.end().ok for upload in uploads)
    with peer.client() as client:
        assert client.upload("late", b"y").ok
    assert peer.names() == sorted([*(str(number) for number in range(16)), "late", "other"])


# ---- connections ----

def test_two_hundred_new_clients_at_once(net):
    """All get in, and an answer, time and again."""
    peer = net.peer(files={"a": "x"})
    together = threading.Barrier(200)

    def ask(_):
        together.wait(60 * PATIENCE)
        with Calls(peer, "/grpc.health.v1.Health/Check", 1, b"") as calls:
            calls.wait_all(30)
            return calls.told

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        for _ in range(5):
            assert list(pool.map(ask, range(200))) == [True] * 200


def test_a_few_hosts_leave_room(net):
    """Four that take all they get, all of them with a call, which is never idle."""
    peer = limited(net, 200)
    most = connections(peer)["max"]
    flood = [connect(peer, f"127.0.0.{host}", BUSY) for host in (2, 3, 4, 5) for _ in range(19)]
    wait_until(lambda: most // 2 < still_open(flood) <= most - most // 8, what="some to be closed")
    for host in range(6, 10):
        with Calls(peer, WATCH, 1, b"", source=f"127.0.0.{host}") as late:
            wait_until(lambda: late.read() or late.told, what="an answer")
            assert late.told
    still_serves(peer)
    close_all(flood)


def is_served(peer, client):
    """A call that begins while its idle connection is closed breaks; the next one does not."""
    try:
        still_serves(peer)
        return client.list_files()
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return False


def test_idle_connections_make_room(net):
    """Hosts that hold every place, and a client that has a call: who comes finds a place after all,
    the call goes on, and a client whose connection went is served again."""
    peer = limited(net, 200)
    most = connections(peer)["max"]
    assert most == 76
    with peer.client() as idle, Calls(peer, WATCH, 1, b"", source="127.0.0.6") as busy:
        assert idle.list_files()
        flood = [connect(peer, f"127.0.0.{host}") for host in range(10, 50) for _ in range(19)]
        wait_until(lambda: still_open(flood) == most - 2, what="all places to be taken")

        def gets_in():
            with Calls(peer, WATCH, 1, b"", source="127.0.0.7") as late:
                wait_until(lambda: late.read() or late.told or still_open([late.socket]) == 0, 5)
                return late.told

        wait_until(gets_in, 30, "a place")
        assert busy.read() == 0 and still_open([busy.socket]) == 1
        wait_until(lambda: is_served(peer, idle), 10, "an idle client to be served again")
        close_all(flood)
    wait_until(lambda: connections(peer)["open"] == 0, what="the places to be free again")
