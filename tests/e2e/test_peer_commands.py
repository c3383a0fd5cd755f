"""The commands of p2p-peer: results on stdout, reasons on stderr, exit statuses, --json."""

import json
import os
import pty
import re
import select
import subprocess
import time

import grpc
import pytest

import harness
import reference
from test_peer_faults import field

MIB = 1024 * 1024
DONE, FAILED, USAGE, NOT_FOUND, UNREACHABLE = range(5)


@pytest.fixture
def pair(net):
    """Peer1 whose commands are run, and Peer2 with a file, in one network."""
    directory = net.directory()
    other = net.peer("Peer2", directory, files={"a.txt": "hello"})
    peer = net.peer("Peer1", directory, files={"mine.txt": "12345"})
    directory.wait_for_files("Peer2", ["a.txt"])
    directory.wait_for_files("Peer1", ["mine.txt"])
    return directory, peer, other


def answer(result):
    """The JSON on stdout: one document."""
    return json.loads(result.stdout)


def strings(value):
    """Every string and number in a JSON value."""
    if isinstance(value, dict):
        return [s for v in value.values() for s in strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value]


def test_search(pair):
    _, peer, other = pair
    result = peer.command("search", "a.txt")
    assert (result.returncode, result.stderr) == (DONE, "")
    assert "Peer2" in result.stdout and other.address in result.stdout
    found = strings(answer(peer.command("search", "a.txt", "--json")))
    assert "Peer2" in found and other.address in found


def test_search_in_vain(pair):
    _, peer, _ = pair
    result = peer.command("search", "nothing")
    assert (result.returncode, result.stdout) == (NOT_FOUND, "")
    assert "Archivo 'nothing' no encontrado" in result.stderr
    assert peer.command("search", "nothing", "--json").returncode == NOT_FOUND
    for more in [], ["--json"]:  # a part of a name is a word, and no name
        assert peer.command("search", "a.tx", *more).returncode == DONE
        assert peer.command("search", "a.tx", "--exact", *more).returncode == NOT_FOUND
        assert peer.command("search", "nothing", "at", "all", *more).returncode == NOT_FOUND
    assert peer.command("search", "../x").returncode in (FAILED, USAGE)


@pytest.fixture(params=["ours", "reference"])
def library(request, net):
    """Peer1, and Peer2 with some music, at our directory and at one that cannot search by words."""
    names = {"Canción de cuna.mp3": b"x" * 7, "cancion (live).mp3": b"x" * 3000, "ñu.txt": b"",
             "NANA.ogg": b"n"}
    directory = net.directory() if request.param == "ours" else net.reference_directory()
    net.peer("Peer2", directory, files=names)
    peer = net.peer("Peer1", directory, files={"mi canción.mp3": "mine"})
    harness.wait_until(lambda: len(directory.files_of("Peer2")) == 4 and
                       directory.files_of("Peer1"), 20, "the files")
    return request.param, peer


def found(peer, *words):
    result = peer.command("search", *words, "--json")
    assert result.returncode in (DONE, NOT_FOUND), result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return sorted(line["name"] for line in lines if "name" in line)


def test_search_by_words(library):
    kind, peer = library
    cradle, live = "Canción de cuna.mp3", "cancion (live).mp3"
    assert found(peer, "CANCION", "mp3") == sorted([cradle, live])
    assert found(peer, "canción") == sorted([cradle, live])  # no file is called so
    assert found(peer, "mp3", "-live") == found(peer, "-live", "mp3") == [cradle]
    assert found(peer, "a", "--ext", "OGG") == ["NANA.ogg"]
    assert found(peer, "n", "u") == [cradle]  # ñ is no n
    assert found(peer, "nothing", "at", "all") == []
    assert found(peer, "NANA.ogg") == ["NANA.ogg"]
    assert found(peer, "--exact", "nana.ogg") == []
    assert peer.command("search", "--exact", "nana.ogg").returncode == NOT_FOUND
    assert found(peer, "--words", "nana.ogg") == ["NANA.ogg"]
    result = peer.command("search", "mp3", "--limit", "1")
    assert result.returncode == DONE and len(result.stdout.splitlines()) == 2
    assert "Hay más de 1" in result.stderr
    assert ("no admite búsquedas por palabras" in result.stderr) == (kind == "reference")
    sized = peer.command("search", "mp3", "--min-size", "2k", "--max-size", "1M")
    if kind == "ours":
        assert sized.stdout.splitlines()[1].endswith(live) and "2.9 KiB" in sized.stdout
        assert found(peer, "mp3", "--max-size", "7") == [cradle]
    else:
        assert sized.returncode == FAILED and "no dice tamaños" in sized.stderr


def test_many_pages_of_words(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory)
    body = {"username": "Peer2", "password": harness.PASSWORD, "files_index": [
        {"filename": f"disco {n:04}.mp3", "url": ["127.0.0.1:1"]} for n in range(1200)]}
    assert directory.request("POST", "/login", body=json.dumps(body).encode(),
                             headers={"Content-Type": "application/json"}).status == 200
    assert len(found(peer, "disco", "mp3", "--limit", "1100")) == 1100
    assert len(found(peer, "disco", "mp3", "--limit", "10000")) == 1200
    assert len(found(peer, "disco", "mp3")) == 50


def test_words_without_a_directory(net):
    peer = net.peer("Peer1")
    result = peer.command("search", "a", "b")
    assert (result.returncode, result.stdout) == (UNREACHABLE, "")
    assert "No se puede conectar con el directorio" in result.stderr


def test_get(pair):
    _, peer, _ = pair
    result = peer.command("get", "a.txt")
    assert result.returncode == DONE
    assert str(peer.share / "a.txt") in result.stdout
    assert result.stderr == ""  # no bar: it is no terminal
    assert (peer.share / "a.txt").read_bytes() == b"hello"
    got = strings(answer(peer.command("get", "a.txt", "--from", "Peer2", "--json")))
    assert any("a.txt" in s for s in got if isinstance(s, str))


def test_get_in_vain(pair):
    _, peer, _ = pair
    result = peer.command("get", "nothing")
    assert (result.returncode, result.stdout) == (NOT_FOUND, "")
    assert "Archivo 'nothing' no encontrado" in result.stderr
    assert peer.names() == ["mine.txt"]


def test_put(pair, tmp_path):
    _, peer, other = pair
    result = peer.command("put", "mine.txt", other.address)  # from the shared folder
    assert result.returncode == DONE, result.stderr
    assert "Escrito 5 bytes en mine.txt" in result.stdout
    assert (other.share / "mine.txt").read_bytes() == b"12345"
    elsewhere = tmp_path / "other file.bin"
    elsewhere.write_bytes(reference.random_bytes(3 * MIB))
    sent = strings(answer(peer.command("put", elsewhere, other.address, "--json")))
    assert f"Escrito {3 * MIB} bytes en other file.bin" in sent
    assert (other.share / "other file.bin").read_bytes() == elsewhere.read_bytes()


def test_put_to_the_reference(net):
    peer = net.peer(files={"ñ ✅.bin": reference.random_bytes(MIB)})
    other = net.reference_peer()
    result = peer.command("put", "ñ ✅.bin", other.address)
    assert result.returncode == DONE, result.stderr
    assert f"Escrito {MIB} bytes en ñ ✅.bin" in result.stdout
    assert (other.folder / "ñ ✅.bin").read_bytes() == (peer.share / "ñ ✅.bin").read_bytes()


def test_put_that_is_refused(pair):
    _, peer, other = pair
    (other.share / "mine.txt").write_text("another")
    result = peer.command("put", "mine.txt", other.address)
    assert result.returncode == FAILED
    assert "Ya existe mine.txt" in result.stderr + result.stdout
    assert (other.share / "mine.txt").read_text() == "another"


def test_put_of_what_is_no_file(pair, tmp_path):
    _, peer, other = pair
    assert peer.command("put", "nothing", other.address).returncode == NOT_FOUND
    assert peer.command("put", tmp_path / "nothing", other.address).returncode == NOT_FOUND
    assert peer.command("put", tmp_path, other.address).returncode in (FAILED, NOT_FOUND)
    os.mkfifo(tmp_path / "fifo")
    assert peer.command("put", tmp_path / "fifo", other.address).returncode in (FAILED, NOT_FOUND)
    assert other.names() == ["a.txt"]


def test_list(pair):
    _, peer, other = pair
    result = peer.command("list", other.address)
    assert (result.returncode, result.stderr) == (DONE, "")
    assert "a.txt" in result.stdout and "5" in result.stdout
    listed = strings(answer(peer.command("list", other.address, "--json")))
    assert "a.txt" in listed and 5 in listed
    own = peer.command("list")  # without an address: one's own
    assert own.returncode == DONE and "mine.txt" in own.stdout


def test_list_of_the_reference(net):
    peer = net.peer()
    other = net.reference_peer(files={"x.txt": "123"})
    assert "x.txt" in peer.command("list", other.address).stdout
    assert "x.txt" in peer.command("list", f"http://{other.address}").stdout


class EscapingPeer(reference.ReferencePeer):
    """Lists names that want to command the terminal."""

    NAMES = [b"\x1b]0;owned\x07\x1b[2J", b"new\nline", b"caf\xe9", "\u202egnp.exe".encode(),
             "\x9b2J".encode()]

    def register(self):
        import grpc

        def files(_request, _context):
            return b"".join(field(1, field(1, name) + b"\x10\x05") for name in self.NAMES)

        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "peer.PeerService", {"ListFiles": grpc.unary_unary_rpc_method_handler(files)}),))


def test_names_that_command_the_terminal(net):
    peer = net.peer()
    other = net.reference_peer(EscapingPeer)
    result = peer.command("list", other.address)
    for harmful in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert harmful not in result.stdout + result.stderr
    assert peer.command("status").returncode == DONE
    printed = peer.command("list", other.address, "--json")
    assert printed.returncode in (DONE, FAILED)
    if printed.returncode == DONE:
        assert "\x1b" not in printed.stdout
        json.loads(printed.stdout)


def test_status(pair):
    directory, peer, _ = pair
    result = peer.command("status")
    assert (result.returncode, result.stderr) == (DONE, "")
    assert "Peer1" in result.stdout and peer.address in result.stdout
    told = strings(answer(peer.command("status", "--json")))
    assert "Peer1" in told and peer.address in told
    directory.terminate()


@pytest.mark.parametrize("command", [["search", "a"], ["get", "a"], ["put", "a", "127.0.0.1:1"],
                                     ["list"], ["list", "127.0.0.1:1"], ["status"]])
def test_without_a_daemon(net, command):
    peer = net.peer(files={"a": "x"})
    peer.terminate()
    for more in ([], ["--json"]):
        result = peer.command(*command, *more)
        assert result.returncode == UNREACHABLE, result.stderr
        assert result.stderr.strip()


@pytest.mark.parametrize("command", [["search", "a"], ["get", "a"]])
def test_without_a_directory(net, command):
    peer = net.peer("Peer1", f"http://127.0.0.1:{harness.free_port()}")
    result = peer.command(*command)
    assert result.returncode == UNREACHABLE, result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("command", [["list"], ["put", "a"]])
def test_without_a_peer(net, command):
    peer = net.peer(files={"a": "x"})
    result = peer.command(*command, f"127.0.0.1:{harness.free_port()}")
    assert result.returncode == UNREACHABLE, result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("command", [
    ["search"], ["search", "--exact", "a", "b"], ["search", "a", "--limit", "0"],
    ["search", "a", "--min-size", "5 apples"], ["search", "--exact", "a", "--ext", "b"], ["get"], ["get", "a", "--from"],
    ["put"], ["put", "a"], ["put", "a", "no-address"], ["list", "no-address"], ["list", "a:1", "b"],
    ["status", "x"], ["search", "--nonsense"], ["get", "a", "--output"]])
def test_wrong_use(net, command):
    peer = net.peer()
    result = peer.command(*command)
    assert (result.returncode, result.stdout) == (USAGE, "")
    assert result.stderr.strip()


def test_the_control_socket_is_the_owners_alone(peer):
    assert os.stat(peer.settings["control_socket"]).st_mode & 0o777 == 0o600


def test_a_bar_on_a_terminal(net):
    """stderr is a terminal: a bar with rate and time left, on one line, gone or whole at the end."""
    directory = net.directory()
    net.peer("Peer2", directory, files={"big": harness.amount(600, 150) * MIB})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["big"])
    master, slave = pty.openpty()
    getting = subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", "big", "--config", str(peer.config_path)],
        env=harness.environment(TERM="xterm"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=slave)
    os.close(slave)
    seen, end = b"", time.monotonic() + 60 * harness.PATIENCE
    try:
        while time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:
                    break
        assert getting.wait(10) == 0
    finally:
        getting.kill()
        getting.wait()
        getting.stdout.close()
        os.close(master)
    assert re.search(rb"\d+ ?%", seen), seen
    assert re.search(rb"[KMG]i?B/s", seen), seen


@pytest.mark.parametrize("method", ["Search", "Match", "List", "Put", "Get", "Begin", "Status",
                                    "Downloads", "Pause", "Resume", "Cancel", "Sources"])
def test_a_control_call_without_a_request_is_refused(peer, method):
    with grpc.insecure_channel("unix:" + peer.settings["control_socket"]) as channel:
        call = channel.stream_unary("/p2p.control.Control/" + method)
        with pytest.raises(grpc.RpcError) as refusal:
            call(iter([]), timeout=10)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert peer.command("status").returncode == DONE
