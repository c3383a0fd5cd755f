"""Limits: rates, fairness between peers, waiting in line, receivers and senders that do nothing."""

import contextlib
import json
import socket
import threading
import time

import grpc
import pytest

import reference
from harness import PATIENCE, wait_until
from stubs import content as wire
from stubs import peer as reference_wire

KIB = 1024
MIB = 1024 * KIB
DOWNLOAD = "/peer.PeerService/DownloadFile"
NO_PROXY = [("grpc.enable_http_proxy", 0)]


def check_rate(moved, seconds, rate):
    """At most a little over, for seconds that began before the first byte and were read after the
    last: however slow the machine is, it cannot break that. That it is not far under shows that
    the limit is the one that was set."""
    measured = moved / seconds
    assert measured < rate * 1.15, f"{measured / KIB:.0f} KiB/s of {rate / KIB:.0f}"
    assert measured * PATIENCE > rate * 0.6, f"{measured / KIB:.0f} KiB/s of {rate / KIB:.0f}"


class Relay:
    """Passes connections on to a peer, from another address of this machine."""

    def __init__(self, peer, source):
        self.target, self.source = ("127.0.0.1", peer.port), source
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target, source_address=(self.source, 0))
                self.sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self.copy, args=ends, daemon=True).start()

    @staticmethod
    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Reader:
    """A download on a thread of its own, on a connection of its own. read stops after `seconds`."""

    def __init__(self, address, name, places=True):
        self.bytes, self.places, self.empty, self.error = 0, [], 0, None
        self.channel = grpc.insecure_channel(
            address, options=[*NO_PROXY, ("grpc.use_local_subchannel_pool", 1)])
        call = self.channel.unary_stream(DOWNLOAD, wire.DownloadRequest.SerializeToString,
                                         wire.Chunk.FromString)
        self.begin = self.end = time.monotonic()
        self.call = call(wire.DownloadRequest(filename=name, accepts_queue_position=places))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for chunk in self.call:
                self.end = time.monotonic()
                self.bytes += len(chunk.data)
                if chunk.queue_position:
                    assert not chunk.data and not chunk.total_bytes
                    self.places.append(chunk.queue_position)
                elif not chunk.data:
                    self.empty += 1
        except grpc.RpcError as error:
            self.error = error

    def join(self):
        self.thread.join(120)
        assert not self.thread.is_alive()
        self.channel.close()
        assert self.error is None, self.error
        return self.bytes

    def stop(self):
        """Cancels."""
        self.call.cancel()
        self.thread.join(30)
        self.channel.close()


def moved(readers):
    """The bytes that each has had until now."""
    return [reader.bytes for reader in readers]


def stop_all(readers):
    for reader in readers:
        reader.stop()


# ---- rates ----

def test_the_upload_limit_holds(net):
    data = reference.random_bytes(4 * MIB)
    peer = net.peer(files={"a": data}, upload_limit="2 MiB/s")
    begin = time.monotonic()
    readers = [Reader(peer.address, "a") for _ in range(2)]
    assert sum(reader.join() for reader in readers) == 2 * len(data)
    check_rate(2 * len(data), time.monotonic() - begin, 2 * MIB)


def test_the_upload_limit_holds_for_what_we_put(net):
    peer = net.peer(files={"a": reference.random_bytes(4 * MIB)}, upload_limit=MIB)
    other = net.peer("Peer2")
    begin = time.monotonic()
    assert peer.command("put", "a", other.address).returncode == 0
    check_rate(4 * MIB, time.monotonic() - begin, MIB)
    assert (other.share / "a").stat().st_size == 4 * MIB


def test_the_download_limit_holds_for_what_others_put(net):
    data = reference.random_bytes(4 * MIB)
    peer = net.peer(download_limit=MIB)
    begin = time.monotonic()
    with peer.client() as client:
        assert client.upload("a", data).ok
    # What fills the windows on the way counts as sent only when it was taken in.
    check_rate(len(data), time.monotonic() - begin, MIB)
    assert (peer.share / "a").read_bytes() == data


def test_a_sender_of_ours_waits_for_a_slow_receiver(net):
    """Messages of half a MiB at 32 KiB/s: the sender must not take that for silence."""
    peer = net.peer(files={"a": reference.random_bytes(3 * MIB // 2)})
    other = net.peer("Peer2", download_limit=64 * KIB)
    result = peer.command("put", "a", other.address, timeout=60)
    assert result.returncode == 0, result.stderr
    assert (other.share / "a").stat().st_size == 3 * MIB // 2


def test_the_limit_per_peer_is_each_peers_own(net):
    data = reference.random_bytes(8 * MIB)
    peer = net.peer(files={"a": data}, upload_limit_per_peer=MIB)
    begin = time.monotonic()
    with Relay(peer, "127.0.0.2") as relay:
        readers = [Reader(peer.address, "a"), Reader(peer.address, "a"), Reader(relay.address, "a")]
        time.sleep(4)
        first, second, third = moved(readers)
        seconds = time.monotonic() - begin
        stop_all(readers)
    check_rate(first + second, seconds, MIB)
    check_rate(third, seconds, MIB)
    assert 1 / 2 < first / second < 2, (first, second)


def test_limits_change_while_running(net):
    data = reference.random_bytes(64 * MIB)
    peer = net.peer(files={"a": data})
    none = {"upload": None, "download": None, "upload_per_peer": None, "download_per_peer": None}
    assert json.loads(peer.command("limit", "--json").stdout) == {"limits": none}
    shown = peer.command("limit", "--upload", "1M", "--download-per-peer", "10k", "--json").stdout
    now = {**none, "upload": MIB, "download_per_peer": 10 * KIB}
    assert json.loads(shown) == {"limits": now}
    assert json.loads(peer.command("status", "--json").stdout)["limits"] == now
    assert "1.0 MiB/s" in peer.command("status").stdout
    begin = time.monotonic()
    reader = Reader(peer.address, "a")
    time.sleep(3)
    check_rate(reader.bytes, time.monotonic() - begin, MIB)
    before, begin = reader.bytes, time.monotonic()
    assert peer.command("limit", "--upload", "4 MiB/s").returncode == 0
    wait_until(lambda: reader.bytes >= before + 12 * MIB, 30, "three seconds' worth")
    # That much could have been on its way, or have been saved up, when the rate changed.
    check_rate(reader.bytes - before - MIB, time.monotonic() - begin, 4 * MIB)
    shown = peer.command("limit", "--upload", "none").stdout
    assert "sin límite" in shown and "10.0 KiB/s" in shown
    assert reader.join() == len(data)
    assert reader.end - begin < 15 * PATIENCE
    peer.terminate()
    peer.start()  # what was set is not kept
    assert json.loads(peer.command("limit", "--json").stdout) == {"limits": none}


@pytest.mark.parametrize("arguments", [["--upload", "fast"], ["--upload", "5"], ["--upload", "2MB"],
                                       ["--download=-1"], ["--upload"], ["1M"]])
def test_a_limit_that_is_none_is_refused(net, arguments):
    peer = net.peer(upload_limit="1M")
    result = peer.command("limit", *arguments)
    assert result.returncode == 2 and "limit" in result.stderr
    assert json.loads(peer.command("limit", "--json").stdout)["limits"]["upload"] == MIB


# ---- fairness ----

def test_many_streams_get_no_more_than_one(net):
    """Two addresses, eight streams and one: half of the rate each, not an eighth."""
    rate = MIB
    peer = net.peer(files={"a": reference.random_bytes(16 * MIB)}, upload_limit=rate)
    begin = time.monotonic()
    with Relay(peer, "127.0.0.2") as relay:
        readers = [Reader(peer.address, "a") for _ in range(8)]
        readers.append(Reader(relay.address, "a"))
        wait_until(lambda: all(reader.bytes for reader in readers), 30, "all to get something")
        before = moved(readers)
        # Some fifty messages: one more or less does not show, nor what is on its way.
        wait_until(lambda: sum(moved(readers)) >= sum(before) + 6 * rate, 30, "six seconds' worth")
        after = moved(readers)
        check_rate(sum(after), time.monotonic() - begin, rate)
        stop_all(readers)
    *together, alone = (now - then for now, then in zip(after, before))
    assert 1 / 2 < alone / sum(together) < 2, (before, after)


def test_who_waits_learns_its_place(net):
    peer = net.peer(files={"a": reference.random_bytes(4 * MIB), "small": b"x" * 1000},
                    upload_limit=128 * KIB)
    readers = [Reader(peer.address, "a") for _ in range(40)]
    silent = Reader(peer.address, "a", places=False)
    wait_until(lambda: all(reader.bytes and reader.places for reader in readers), 30, "places")
    waiting = json.loads(peer.command("status", "--json").stdout)["uploads_waiting"]
    assert 30 <= waiting <= 41
    assert all(1 <= place <= 41 for reader in readers for place in reader.places)
    assert max(place for reader in readers for place in reader.places) > 15
    assert not silent.places and not any(reader.empty for reader in [*readers, silent])
    # Who comes now is served among the next ones: it has had nothing yet. A turn of each of the
    # others would take ten seconds at this rate.
    peer.command("limit", "--upload", "16k")
    begin = time.monotonic()
    assert Reader(peer.address, "small").join() == 1000
    assert time.monotonic() - begin < 6
    with peer.client() as client:  # a reference peer sees data only, and all of them
        assert client.download("small") == b"x" * 1000
    peer.command("limit", "--upload", "none")
    for reader in [*readers, silent]:
        assert reader.join() == 4 * MIB
        assert not reader.empty


class BusyPeer(reference.ReferencePeer):
    """Understands parts, and lets everybody wait for 14 s before the data."""

    calls = 0

    def DownloadFile(self, request, context):
        self.calls += 1
        asked = wire.DownloadRequest.FromString(request.SerializeToString())
        for place in range(7, 0, -1):
            if asked.accepts_queue_position:
                yield self.chunk(queue_position=place)
            time.sleep(2)
        data = (self.folder / request.filename).read_bytes()
        end = asked.offset + asked.length if asked.length else len(data)
        yield self.chunk(data=data[asked.offset:end], total_bytes=len(data), offset=asked.offset)

    @staticmethod
    def chunk(**fields):
        return reference_wire.Chunk.FromString(wire.Chunk(**fields).SerializeToString())


def test_a_download_waits_in_a_line(net):
    """Longer than a source may be silent: the words on the place show that it is not gone."""
    data = reference.random_bytes(100 * KIB)
    source = net.reference_peer(kind=BusyPeer, files={"a": data})
    peer = net.peer()
    result = peer.command("get", "a", "--from", source.address, timeout=60)
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a").read_bytes() == data
    assert source.calls == 1


def test_one_slot_serves_all(net):
    data = reference.random_bytes(8 * MIB)
    peer = net.peer(files={"a": data}, upload_slots=1)
    readers = [Reader(peer.address, "a") for _ in range(12)]
    assert [reader.join() for reader in readers] == [len(data)] * 12


# ---- who does nothing ----

def stalled_receiver(peer, name):
    """A connection whose download is never read."""
    channel = grpc.insecure_channel(
        peer.address, options=[*NO_PROXY, ("grpc.use_local_subchannel_pool", 1)])
    call = channel.unary_stream(DOWNLOAD, wire.DownloadRequest.SerializeToString,
                                wire.Chunk.FromString)
    return channel, call(wire.DownloadRequest(filename=name))


@pytest.mark.plain
def test_receivers_that_do_not_read_cost_bounded_memory_and_no_turns(net):
    peer = net.peer(files={"a": 256 * MIB, "b": reference.random_bytes(32 * MIB)})
    stalled = [stalled_receiver(peer, "a") for _ in range(300)]

    def all_stand_still():
        status = json.loads(peer.command("status", "--json").stdout)
        return status["uploads_running"] == 300 and status["uploads_waiting"] == 0

    wait_until(all_stand_still, 40, "300 streams that stand still")
    begin = time.monotonic()
    assert Reader(peer.address, "b").join() == 32 * MIB
    assert time.monotonic() - begin < 9  # before any of them could be ended
    assert peer.status_value("VmHWM") < 150 * 1024
    for channel, call in stalled:
        call.cancel()
        channel.close()


@pytest.mark.long
@pytest.mark.plain
def test_an_upload_that_stands_still_is_ended(net):
    peer = net.peer()
    enough = threading.Event()

    def messages():
        yield reference_wire.UploadChunk(filename="a", data=b"x" * 1000)
        enough.wait(90)

    begin = time.monotonic()
    with peer.client(options=NO_PROXY) as client, pytest.raises(grpc.RpcError) as ended:
        client.upload_messages(messages(), timeout=90)
    enough.set()
    assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert ended.value.details() == "No llegan datos: la llamada se cancela"
    assert 59 < time.monotonic() - begin < 85
    wait_until(lambda: peer.names() == [], 5, "the temporary file to go")
