"""What a peer's gRPC service is given by the careless and the hostile."""

import concurrent.futures
import os
import pathlib
import socket
import stat
import subprocess
import threading
import time

import grpc
import pytest

import harness
import reference
from stubs import peer as wire
from test_peer_service import refused

MIB = 1024 * 1024
CODE = grpc.StatusCode
LIST = "/peer.PeerService/ListFiles"
DOWNLOAD = "/peer.PeerService/DownloadFile"
UPLOAD = "/peer.PeerService/UploadFile"


def field(number, data):
    """A bytes field as it lies in a message (under 16 KiB)."""
    length = len(data)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + size + data


def still_serves(peer):
    with peer.client() as client:
        name = f"check-{time.monotonic_ns()}"
        assert client.upload(name, b"x").ok
        assert client.download(name) == b"x"
        (peer.share / name).unlink()


BAD_NAMES = {
    "parent": b"../outside", "deep": b"a/../../outside", "absolute": b"/etc/passwd", "dot": b".",
    "dots": b"..", "slash": b"folder/", "slashes": b"folder//file", "300 bytes": b"x" * 300, "newline": b"a\nb",
    "escape": b"\x1b[2J", "latin-1": b"caf\xe9", "overlong slash": b"..\xc0\xafx",
    "nul": b"outside\x00.txt", "surrogate": b"\xed\xa0\x80", "16 KB": b"x" * 16000}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_download_of_a_bad_name(net, case):
    peer = net.peer()
    (peer.share.parent / "outside").write_text("secret")
    with peer.client() as client:
        call = client.raw("unary_stream", DOWNLOAD)
        code, text = refused(lambda: call(field(1, BAD_NAMES[case]), timeout=10))
        assert code == CODE.INVALID_ARGUMENT
        assert text.startswith("Nombre de archivo inválido")
    still_serves(peer)


def test_download_of_no_name(peer):
    with peer.client() as client:
        code, text = refused(lambda: client.download(""))
        assert code == CODE.INVALID_ARGUMENT and text


@pytest.mark.parametrize("case", BAD_NAMES)
def test_upload_to_a_bad_name(net, case):
    peer = net.peer()
    before = sorted(os.listdir(peer.folder))
    with peer.client() as client:
        call = client.raw("stream_unary", UPLOAD)
        message = field(1, BAD_NAMES[case]) + field(2, b"evil")
        reply = wire.UploadResponse.FromString(call(iter([message]), timeout=10))
        assert not reply.ok
        assert reply.message.startswith("Nombre de archivo inválido")
    assert peer.names() == []
    assert sorted(os.listdir(peer.folder)) == before
    still_serves(peer)


def test_links_folders_and_special_files_are_not_found(net):
    peer = net.peer(files={"real": "x"})
    (net.folder / "outside").write_text("secret")
    (net.folder / "outside-folder").mkdir()
    (net.folder / "outside-folder" / "f").write_text("secret")
    (peer.share / "link").symlink_to(net.folder / "outside")
    (peer.share / "relative").symlink_to("../../outside")
    (peer.share / "inside").symlink_to("real")
    (peer.share / "loop").symlink_to("loop")
    (peer.share / "folder").mkdir()
    (peer.share / "folder-link").symlink_to(net.folder / "outside-folder")
    os.mkfifo(peer.share / "fifo")
    names = ["link", "relative", "inside", "loop", "folder", "folder-link", "fifo"]
    if os.geteuid() == 0:
        os.mknod(peer.share / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
        names.append("device")
    with peer.client() as client:
        assert client.list_files() == {"real": 1}
        for name in names:
            assert refused(lambda: client.download(name)) == (CODE.NOT_FOUND,
                                                              "Archivo no encontrado"), name
    still_serves(peer)


def test_hidden_files_are_not_given(net):
    peer = net.peer(files={".secret": "x", ".p2p-part-abcdef": "x"})
    with peer.client() as client:
        assert refused(lambda: client.download(".secret"))[0] == CODE.NOT_FOUND
        assert refused(lambda: client.download(".p2p-part-abcdef"))[0] == CODE.NOT_FOUND


GARBAGE = [b"\xff", b"\xff" * 50, b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x08\x96",
           b"\x0b\x0b\x0b", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]


@pytest.mark.parametrize("kind, method", [("unary_unary", LIST), ("unary_stream", DOWNLOAD),
                                          ("stream_unary", UPLOAD)])
def test_bytes_that_are_no_message(net, kind, method):
    peer = net.peer(files={"a": "x"})
    with peer.client() as client:
        call = client.raw(kind, method)
        for garbage in GARBAGE:
            def attempt():
                result = call(iter([garbage]) if kind == "stream_unary" else garbage, timeout=10)
                return result if isinstance(result, bytes) else b"".join(result)

            code, text = refused(attempt)
            assert code in (CODE.INVALID_ARGUMENT, CODE.INTERNAL), garbage
            assert text
    assert peer.names() == ["a"]
    still_serves(peer)


def test_garbage_in_the_middle_of_an_upload(peer):
    with peer.client() as client:
        call = client.raw("stream_unary", UPLOAD)
        messages = [field(1, b"a") + field(2, b"good"), b"\xff\xff\xff", field(2, b"good")]
        code, _ = refused(lambda: call(iter(messages), timeout=10))
        assert code in (CODE.INVALID_ARGUMENT, CODE.INTERNAL)
    harness.wait_until(lambda: peer.names() == [], what="the half file to go")
    still_serves(peer)


@pytest.mark.parametrize("size", [5 * MIB, 64 * MIB])
def test_a_message_over_the_limit(peer, size):
    options = [("grpc.max_send_message_length", -1)]
    with peer.client(options=options) as client:
        code, _ = refused(lambda: client.upload("big", bytes(size), chunk=size).message.encode())
        assert code == CODE.RESOURCE_EXHAUSTED
    harness.wait_until(lambda: peer.names() == [], what="the half file to go")
    still_serves(peer)


def slow_messages(name, release, data=b"x" * 100_000, count=5):
    """Sends count messages and then nothing until released."""
    yield wire.UploadChunk(filename=name, data=data)
    for _ in range(count - 1):
        yield wire.UploadChunk(data=data)
    release.wait(60)


def start_upload(client, peer, name="half.bin"):
    """An upload that stands still in the middle: the call and what lets it go on."""
    release = threading.Event()
    call = client.stub.UploadFile.future(slow_messages(name, release), timeout=100)
    harness.wait_until(lambda: any(entry.stat().st_size for entry in peer.share.iterdir()
                                   if entry.name.startswith(".")),
                       what="the temporary file to grow")
    return call, release


def test_a_sender_that_cancels(peer):
    with peer.client() as client:
        call, release = start_upload(client, peer)
        assert "half.bin" not in peer.names()
        assert client.list_files() == {}
        call.cancel()
        harness.wait_until(lambda: peer.names() == [], what="the half file to go")
        release.set()
    still_serves(peer)


def test_a_sender_that_vanishes(peer):
    """The client's process is killed: no goodbye but the system's closing of the socket."""
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "import reference, threading; from test_peer_faults import slow_messages\n"
        "client = reference.ReferenceClient(sys.argv[1])\n"
        "client.stub.UploadFile(slow_messages('half.bin', threading.Event()))\n")
    folder = pathlib.Path(__file__).parent
    sender = subprocess.Popen(["/usr/bin/python3", "-c", script, peer.address, str(folder)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: any(entry.stat().st_size for entry in peer.share.iterdir()),
                           20, "the temporary file to grow")
    finally:
        sender.kill()
        sender.wait()
    harness.wait_until(lambda: peer.names() == [], what="the half file to go")
    still_serves(peer)


def test_a_sender_whose_deadline_passes(peer):
    with peer.client() as client:
        release = threading.Event()
        code, _ = refused(lambda: client.stub.UploadFile(
            slow_messages("late.bin", release), timeout=1).message.encode())
        release.set()
        assert code == CODE.DEADLINE_EXCEEDED
    harness.wait_until(lambda: peer.names() == [], what="the half file to go")
    still_serves(peer)


def test_two_uploads_of_one_name(peer):
    """One wins whole, the others are told."""
    count = 8
    contents = [bytes([65 + number]) * (300_000 + number) for number in range(count)]
    together = threading.Barrier(count)

    def upload(number):
        with peer.client() as client:
            def messages():
                yield wire.UploadChunk(filename="same.bin", data=contents[number][:100_000])
                together.wait(30 * harness.PATIENCE)
                for start in range(100_000, len(contents[number]), 100_000):
                    yield wire.UploadChunk(data=contents[number][start:start + 100_000])

            return client.upload_messages(messages(), timeout=60 * harness.PATIENCE)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        replies = list(pool.map(upload, range(count)))
    winners = [number for number, reply in enumerate(replies) if reply.ok]
    assert len(winners) == 1, replies
    assert {reply.message for reply in replies if not reply.ok} == {"Ya existe same.bin"}
    assert (peer.share / "same.bin").read_bytes() == contents[winners[0]]
    assert peer.names() == ["same.bin"]


def shrink(path):
    os.truncate(path, 1000)


def shrink_to_nothing(path):
    os.truncate(path, 0)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def remove(path):
    path.unlink()


def replace(path):
    reference.write_file(path, bytes(path.stat().st_size))


def rewrite_the_end(path):
    with path.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"0123456789")


@pytest.mark.parametrize("change", [shrink, shrink_to_nothing, grow, remove, replace,
                                    rewrite_the_end])
def test_a_file_that_changes_while_it_is_sent(net, change):
    peer = net.peer(files={"big.bin": 48 * MIB})
    path = peer.share / "big.bin"
    with peer.client() as client:
        call = client.chunks("big.bin", 60 * harness.PATIENCE)
        next(call)
        change(path)
        code, text = refused(lambda: call)
        assert code == CODE.ABORTED and text
    still_serves(peer)


def test_a_file_that_changes_between_downloads(net):
    peer = net.peer(files={"a": "one"})
    with peer.client() as client:
        assert client.download("a") == b"one"
        reference.write_file(peer.share / "a", b"second")
        assert client.download("a") == b"second"


@pytest.mark.root
def test_upload_to_a_full_disk(small_disk, net):
    peer = net.peer(share=small_disk)
    with peer.client() as client:
        reply = client.upload("big.bin", bytes(4 * MIB))
        assert not reply.ok
        assert "espacio" in reply.message
        harness.wait_until(lambda: peer.names() == [], what="the half file to go")
        reply = client.upload("small.bin", bytes(MIB))
        assert reply.ok, reply.message
        assert client.list_files() == {"small.bin": MIB}


@pytest.mark.parametrize("path", ["/peer.PeerService/Nothing", "/peer.Nothing/ListFiles",
                                  "/nothing", "/peer.PeerService/", "/peer.PeerService/ListFiles/x",
                                  "/" + "x" * 3000])
def test_unknown_methods(peer, path):
    with peer.client() as client:
        assert refused(lambda: client.raw("unary_unary", path)(b"", timeout=10))[0] \
            == CODE.UNIMPLEMENTED
        assert refused(lambda: client.raw("stream_stream", path)(iter([b"x"]), timeout=10))[0] \
            == CODE.UNIMPLEMENTED
    still_serves(peer)


def test_unary_calls_with_no_message_or_two(peer):
    """Broken clients: nothing where one message belongs, and two of them."""
    with peer.client() as client:
        for method in (LIST, DOWNLOAD):
            call = client.raw("stream_stream", method)
            assert refused(lambda: call(iter([]), timeout=10))[0] != CODE.DEADLINE_EXCEEDED
        list_call = client.raw("stream_unary", LIST)
        try:
            list_call(iter([b"", b""]), timeout=10)
        except grpc.RpcError as problem:
            assert problem.code() != CODE.DEADLINE_EXCEEDED
    still_serves(peer)


def test_upload_of_nothing(peer):
    with peer.client() as client:
        client.upload_messages([])  # answered, with whatever words
    still_serves(peer)


def test_bytes_that_are_no_http2(peer):
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                  b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", peer.port), timeout=10) as connection:
            connection.sendall(noise)
    still_serves(peer)


def test_many_idle_connections(peer):
    connections = []
    try:
        for _ in range(500):
            connections.append(socket.create_connection(("127.0.0.1", peer.port), timeout=10))
        still_serves(peer)
    finally:
        for connection in connections:
            connection.close()
    still_serves(peer)


# gRPC's own pools grow while there is much to do: the executor to two threads a core.
LIBRARY_THREADS = {"default-executo", "grpc_global_tim", "timer_manager", "event_engine"}


def threads_of(peer):
    """How many are ours and run all the time (those that hash go when they have done), and how many the library's."""
    ours = library = 0
    for task in pathlib.Path(f"/proc/{peer.pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue  # it has just ended
        ours += name not in LIBRARY_THREADS and name != "hashing"
        library += name in LIBRARY_THREADS
    return ours, library


@pytest.mark.plain
def test_receivers_that_stop_reading(net):
    """Thirty of them cost little memory and no thread, and others are served."""
    peer = net.peer(files={"big.bin": 256 * MIB})
    still_serves(peer)
    (threads, library), memory = threads_of(peer), peer.status_value("VmRSS")
    clients = [peer.client() for _ in range(30)]
    try:
        calls = [client.chunks("big.bin", 100) for client in clients]
        for call in calls:
            next(call)
        before = memory
        for _ in range(20):  # until the transport's windows are full
            time.sleep(1)
            later = peer.status_value("VmRSS")
            if later - before < 512:
                break
            before = later
        assert later - before < 512, "it goes on growing"
        ours, theirs = threads_of(peer)
        assert ours <= threads
        assert theirs <= library + 2 * os.cpu_count()
        assert later - memory < 30 * 2 * 1024, "over 2 MiB a receiver"
        still_serves(peer)
        for call in calls:
            call.cancel()
    finally:
        for client in clients:
            client.channel.close()
    still_serves(peer)


def test_two_hundred_downloads_at_once(net):
    """All are under way together (none starves), all get the whole file, memory stays bounded."""
    count, size = 200, 2 * MIB
    data = reference.random_bytes(size)
    peer = net.peer(files={"file.bin": data})
    together = threading.Barrier(count)
    clients = [peer.client() for _ in range(10)]

    def download(number):
        call = clients[number % len(clients)].chunks("file.bin", 100 * harness.PATIENCE)
        got = [next(call).data]
        together.wait(60 * harness.PATIENCE)
        got.extend(chunk.data for chunk in call)
        return b"".join(got) == data

    try:
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            assert all(pool.map(download, range(count)))
    finally:
        for client in clients:
            client.channel.close()
    if not harness.SANITIZER:
        assert peer.status_value("VmHWM") < 200 * 1024
    still_serves(peer)


def test_cancelled_downloads_leave_nothing_open(net):
    peer = net.peer(files={"big.bin": 64 * MIB})
    still_serves(peer)
    with peer.client() as client:
        descriptors = peer.descriptors()
        for _ in range(50):
            call = client.chunks("big.bin")
            next(call)
            call.cancel()
        harness.wait_until(lambda: peer.descriptors() <= descriptors + 2,
                           what="the files to be closed")
    still_serves(peer)


def test_stops_while_transfers_run(net):
    """Within its two seconds, whatever the others do; the half upload is removed."""
    peer = net.peer(files={"big.bin": 256 * MIB})
    with peer.client() as down, peer.client() as up:
        stalled = down.chunks("big.bin", 100)
        next(stalled)
        call, release = start_upload(up, peer)
        seconds = peer.terminate()
        release.set()
        assert call.exception(10) is not None
    assert seconds < harness.STOPS_WITHIN
    assert peer.names() == ["big.bin"]
