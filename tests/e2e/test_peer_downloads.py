"""Downloads by our peer (p2p-peer get): from ours, from the reference's, and from broken ones."""

import subprocess
import threading
import time

import grpc
import pytest

import harness
import reference
from harness import wait_until
from stubs import peer as wire

MIB = 1024 * 1024
ODD_NAMES = ["con espacios.txt", "ñandú ✅.pdf", "a+b&c=d#e%41?.txt", "-rf", "x" * 255]


def visible(peer):
    return [name for name in peer.names() if not name.startswith(".")]


def told(directory, peer_name, source, *names):
    """Tells our directory of files at an address."""
    assert directory.login(peer_name, files=list(names), url=[source.address]).status == 200


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 20 * MIB + 7])
def test_from_ours(net, size):
    data = reference.random_bytes(size)
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"a.bin": data})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a.bin"])
    result = peer.command("get", "a.bin")
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a.bin").read_bytes() == data
    assert (peer.share / "a.bin").stat().st_mode & 0o777 == 0o644
    assert source.names() == peer.names() == ["a.bin"]
    directory.wait_for_files("Peer1", ["a.bin"])  # and shares it from now on


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(net, name):
    directory = net.directory()
    net.peer("Peer2", directory, files={name: "content"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", [name])
    result = harness.run_program(harness.PEER_PROGRAM, "get", "--config", peer.config_path, "--", name)
    assert result.returncode == 0, result.stderr
    assert (peer.share / name).read_bytes() == b"content"


def test_from_the_reference_by_way_of_the_reference(net):
    """Its directory, its peer: no address in the reply, so grpc_urls are tried."""
    directory = net.reference_directory()
    source = net.reference_peer(files={"a.bin": reference.random_bytes(MIB)})
    other = net.reference_peer(files={"b.bin": "other"})
    source.log_in(directory.url, "Peer2")
    other.log_in(directory.url, "Peer3")
    peer = net.peer("Peer1", directory,
                    grpc_urls=[f"127.0.0.1:{harness.free_port()}", other.address, source.address])
    result = peer.command("get", "a.bin")
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a.bin").read_bytes() == (source.folder / "a.bin").read_bytes()


def test_from_the_reference_by_way_of_ours(net):
    directory = net.directory()
    source = net.reference_peer(files={"a.bin": "hello"})
    source.log_in(directory.url, "Peer2")
    peer = net.peer("Peer1", directory, grpc_urls=[f"http://{source.address}"])
    assert peer.command("get", "a.bin").returncode == 0
    assert (peer.share / "a.bin").read_bytes() == b"hello"


def test_by_a_reference_client_from_ours_by_way_of_the_reference(net):
    """The other direction: what a peer of the reference does to get a file of ours."""
    directory = net.reference_directory()
    source = net.peer("Peer2", directory, files={"a.bin": "hello"})
    wait_until(lambda: directory.files_of("Peer2") == ["a.bin"], what="the index")
    status, body = directory.search("a.bin")
    assert status == 200
    with reference.ReferenceClient(body["disponible_en"][0]["url"][0]) as client:
        assert client.download("a.bin") == b"hello"
    assert source.running()


def test_a_name_that_is_taken(net):
    """Other content is kept beside it, and the user is told; equal content is not stored twice."""
    directory = net.directory()
    net.peer("Peer2", directory, files={"a.txt": "theirs"})
    peer = net.peer("Peer1", directory, files={"a.txt": "mine"})
    directory.wait_for_files("Peer2", ["a.txt"])
    directory.wait_for_files("Peer1", ["a.txt"])
    result = peer.command("get", "a.txt", "--from", "Peer2")
    assert result.returncode == 0, result.stderr
    assert "a (1).txt" in result.stdout
    assert (peer.share / "a.txt").read_bytes() == b"mine"
    assert (peer.share / "a (1).txt").read_bytes() == b"theirs"
    (peer.share / "a.txt").write_bytes(b"theirs")
    assert peer.command("get", "a.txt", "--from", "Peer2").returncode == 0
    assert visible(peer) == ["a (1).txt", "a.txt"]


def test_from_one_peer_only(net):
    directory = net.directory()
    net.peer("Peer2", directory, files={"a": "two"})
    net.peer("Peer3", directory, files={"a": "three"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a"])
    directory.wait_for_files("Peer3", ["a"])
    assert peer.command("get", "a", "--from", "Peer3").returncode == 0
    assert (peer.share / "a").read_bytes() == b"three"
    assert peer.command("get", "a", "--from", "Peer4").returncode == 3
    assert visible(peer) == ["a"]


def test_output_to_a_path(net, tmp_path):
    directory = net.directory()
    data = reference.random_bytes(3 * MIB)
    net.peer("Peer2", directory, files={"a": data})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a"])
    target = tmp_path / "there.bin"
    result = peer.command("get", "a", "--output", target)
    assert result.returncode == 0, result.stderr
    assert target.read_bytes() == data
    assert peer.names() == []
    assert peer.command("get", "a", "--output", tmp_path / "missing" / "x").returncode == 1
    assert peer.names() == []


def test_output_to_standard_output(net):
    directory = net.directory()
    data = reference.random_bytes(3 * MIB)
    net.peer("Peer2", directory, files={"a": data})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a"])
    result = peer.command("get", "a", "--output", "-", text=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == data
    assert peer.names() == []


def test_output_to_a_pipe_that_closes(net):
    directory = net.directory()
    net.peer("Peer2", directory, files={"a": 64 * MIB})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a"])
    done = subprocess.run(
        f"'{harness.PEER_PROGRAM}' get a --output - --config '{peer.config_path}' | head -c 5",
        shell=True, env=harness.environment(), timeout=60 * harness.PATIENCE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert done.stdout == bytes(5)
    wait_until(lambda: peer.names() == [], 20, "the spooled bytes to go")
    assert peer.command("status").returncode == 0


def test_many_downloads_at_once(net):
    directory = net.directory()
    contents = {f"file {number}": reference.random_bytes(500_000, number) for number in range(12)}
    net.peer("Peer2", directory, files=contents)
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", list(contents))
    commands = [subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", name, "--config", str(peer.config_path)],
        env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for name in contents]
    assert [command.wait(60 * harness.PATIENCE) for command in commands] == [0] * len(contents)
    for name, data in contents.items():
        assert (peer.share / name).read_bytes() == data


class BrokenPeer(reference.ReferencePeer):
    """Answers DownloadFile as `behave(peer, context)` yields messages (bytes as they go out)."""

    def __init__(self, folder, behave, **options):
        self.behave = behave
        self.calls = 0
        self.release = threading.Event()
        super().__init__(folder, **options)

    def stop(self):
        self.release.set()
        super().stop()

    def register(self):
        def download(_request, context):
            self.calls += 1
            yield from self.behave(self, context)

        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "peer.PeerService",
            {"DownloadFile": grpc.unary_stream_rpc_method_handler(download)}),))


def chunk(data):
    return wire.Chunk(data=data).SerializeToString()


def aborts(_peer, context):
    yield chunk(b"x" * 65536)
    context.abort(grpc.StatusCode.INTERNAL, "disk trouble")


def has_not(_peer, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "Archivo no encontrado")
    yield b""


def vanishes(peer, _context):
    yield chunk(b"x" * 65536)
    threading.Thread(target=peer.server.stop, args=(0,)).start()
    peer.release.wait(30)


def falls_short(_peer, _context):
    """Ends with OK although it told more bytes (total_bytes, our field 2) than it sent."""
    yield chunk(b"x" * 65536) + b"\x10\x80\x80\x08"  # 131,072
    yield chunk(b"x" * 60000)


def sends_too_much(_peer, _context):
    yield chunk(b"x" * 65536) + b"\x10\x80\x80\x04"  # 65,536
    yield chunk(b"x" * 65536)


def talks_garbage(_peer, _context):
    yield chunk(b"x" * 65536)
    yield b"\xff\xff\xff\xff"


def sends_monsters(_peer, _context):
    yield chunk(bytes(64 * MIB))


def lies_about_the_size(_peer, _context):
    yield chunk(b"x") + b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f"  # 2^63 - 1 bytes
    yield chunk(b"x")


BROKEN = [aborts, has_not, vanishes, falls_short, sends_too_much, talks_garbage, sends_monsters,
          lies_about_the_size]


@pytest.mark.parametrize("behave", BROKEN)
def test_from_a_broken_peer(net, behave):
    """Fails with a reason and leaves nothing; the daemon goes on."""
    directory = net.directory()
    broken = net.reference_peer(BrokenPeer, behave=behave)
    told(directory, "Peer2", broken, "a.bin")
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin", timeout=60)
    assert result.returncode in ((3,) if behave is has_not else (1, 4)), result.stderr
    assert result.stderr.strip()
    assert broken.calls >= 1
    wait_until(lambda: peer.names() == [], what="the half file to go")
    assert peer.command("status").returncode == 0


@pytest.mark.parametrize("behave", BROKEN)
def test_goes_on_with_the_next_source(net, behave):
    directory = net.directory()
    broken = net.reference_peer(BrokenPeer, behave=behave)
    good = net.peer("Peer3", None, files={"a.bin": b"y" * 200_000})
    for number in (2, 4):  # some order of sources or other has a broken one before the good one
        told(directory, f"Peer{number}", broken, "a.bin")
    told(directory, "Peer3", good, "a.bin")
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin", timeout=60)
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a.bin").read_bytes() == b"y" * 200_000
    assert peer.names() == ["a.bin"]


def stalls(peer, _context):
    yield chunk(b"x" * 65536)
    peer.release.wait(60)


def test_a_source_that_stalls(net):
    """Some seconds without a byte, and the next source has its turn; in the end the user hears why."""
    directory = net.directory()
    stalled = net.reference_peer(BrokenPeer, behave=stalls)
    told(directory, "Peer2", stalled, "a.bin")
    peer = net.peer("Peer1", directory)
    started = time.monotonic()
    result = peer.command("get", "a.bin", timeout=60)
    assert result.returncode in (1, 4), result.stderr
    assert result.stderr.strip()
    assert time.monotonic() - started < 30 * harness.PATIENCE
    assert peer.names() == []


def test_a_source_that_is_killed(net):
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"a.bin": 4096 * MIB})  # no time to finish
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a.bin"])
    getting = subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", "a.bin", "--config", str(peer.config_path)],
        env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    try:
        wait_until(lambda: any(entry.stat().st_size for entry in peer.share.iterdir()),
                   what="the download to begin")
        source.kill()
        assert getting.wait(60 * harness.PATIENCE) in (1, 4)
        assert getting.stderr.read()
    finally:
        getting.kill()
        getting.wait()
        getting.stderr.close()
    wait_until(lambda: peer.names() == [], what="the half file to go")


def test_a_source_whose_file_changes(net):
    """Whole and old, whole and new, or an error: never a mixture."""
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"a.bin": 512 * MIB})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a.bin"])
    getting = subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", "a.bin", "--config", str(peer.config_path)],
        env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(entry.stat().st_size for entry in peer.share.iterdir()),
                   what="the download to begin")
        with (source.share / "a.bin").open("r+b") as file:
            file.write(b"changed")
        status = getting.wait(60 * harness.PATIENCE)
    finally:
        getting.kill()
        getting.wait()
    if status == 0:
        start = (peer.share / "a.bin").open("rb").read(7)
        assert start == b"changed" and (peer.share / "a.bin").stat().st_size == 512 * MIB
    else:
        assert peer.names() == []


@pytest.mark.root
def test_to_a_full_disk(small_disk, net):
    directory = net.directory()
    net.peer("Peer2", directory, files={"big": bytes(4 * MIB), "small": bytes(MIB)})
    peer = net.peer("Peer1", directory, share=small_disk)
    directory.wait_for_files("Peer2", ["big", "small"])
    result = peer.command("get", "big")
    assert result.returncode == 1
    assert "espacio" in result.stderr
    wait_until(lambda: peer.names() == [], what="the half file to go")
    assert peer.command("get", "small").returncode == 0
    assert peer.names() == ["small"]


def test_a_peer_name_with_escape_sequences(net):
    """Names come from others: nothing of them may command the terminal."""
    directory = net.reference_directory(users={"evil\x1b[2J\x07": "p"})
    broken = net.reference_peer(BrokenPeer, behave=aborts)
    broken.log_in(directory.url, "evil\x1b[2J\x07", "p", files=["a"])
    peer = net.peer("Peer1", directory.url, grpc_urls=[broken.address], auth_enabled=False)
    for command in (["search", "a"], ["get", "a"], ["search", "a", "--json"], ["status"]):
        result = peer.command(*command)
        assert "\x1b" not in result.stdout + result.stderr
        assert "\x07" not in result.stdout + result.stderr
    assert "\x1b" not in peer.whole_log
