"""PeerService as the contract has it, seen by a client of the reference."""

import os
import socket
import stat

import grpc
import pytest

import reference
from stubs import peer as wire

KIB, MIB = 1024, 1024 * 1024
ODD_NAMES = ["con espacios.txt", "ñandú ✅.pdf", "100%41.txt", "a+b&c=d#e?.txt", "-rf", "a\\b",
             "*", "'\"`$(x)", "x" * 255, "ñ" * 127]


def refused(call):
    """Status code and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as refusal:
        result = call()
        if not isinstance(result, (bytes, dict)):
            list(result)
    return refusal.value.code(), refusal.value.details()


def test_empty_folder(peer):
    with peer.client() as client:
        assert client.list_files() == {}


def test_lists_regular_visible_files_only(net):
    peer = net.peer(files={"b.txt": "bb", "a.txt": "a", "empty": "", ".hidden": "x",
                           ".p2p-part-abcdef": "x"})
    outside = net.folder / "outside"
    outside.write_text("secret")
    (peer.share / "folder").mkdir()
    (peer.share / "folder" / "inner.txt").write_text("x")
    (peer.share / "link-out").symlink_to(outside)
    (peer.share / "link-in").symlink_to("a.txt")
    os.mkfifo(peer.share / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(peer.share / "socket"))
        with peer.client() as client:
            assert client.list_files() == {"a.txt": 1, "b.txt": 2, "empty": 0}


def test_names_that_are_no_names_are_not_listed(net):
    peer = net.peer(files={"good": "1"})
    for bad in (b"caf\xe9", b"new\nline", b"\x1b[2J"):
        with open(os.path.join(os.fsencode(peer.share), bad), "wb") as file:
            file.write(b"x")
    with peer.client() as client:
        assert client.list_files() == {"good": 1}


def test_the_list_is_of_now(peer):
    with peer.client() as client:
        reference.write_file(peer.share / "new.txt", b"12345")
        assert client.list_files() == {"new.txt": 5}
        (peer.share / "new.txt").unlink()
        assert client.list_files() == {}


def test_lists_many_files(net):
    peer = net.peer()
    names = {f"file {number:05d} {'x' * 60}.txt": 1 for number in range(5000)}
    for name in names:
        (peer.share / name).write_bytes(b"1")
    with peer.client() as client:
        assert client.list_files() == names


@pytest.mark.parametrize("size", [1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, 5 * MIB + 3])
def test_downloads_in_chunks(net, size):
    data = reference.random_bytes(size)
    peer = net.peer(files={"file.bin": data})
    with peer.client() as client:
        chunks = [chunk.data for chunk in client.chunks("file.bin")]
    assert b"".join(chunks) == data
    assert all(64 * KIB <= len(chunk) <= MIB for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= MIB


def test_downloads_an_empty_file(net):
    peer = net.peer(files={"empty": ""})
    with peer.client() as client:
        assert client.download("empty") == b""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_work(net, name):
    peer = net.peer(files={name: "content of " + name})
    with peer.client() as client:
        assert list(client.list_files()) == [name]
        assert client.download(name).decode() == "content of " + name
        (peer.share / name).unlink()
        reply = client.upload(name, b"up")
        assert (reply.ok, reply.message) == (True, f"Escrito 2 bytes en {name}")
    assert (peer.share / name).read_bytes() == b"up"


def test_missing_file(peer):
    with peer.client() as client:
        assert refused(lambda: client.download("nothing.txt")) == (
            grpc.StatusCode.NOT_FOUND, "Archivo no encontrado")


def test_upload_answers(peer):
    data = reference.random_bytes(300_000)
    with peer.client() as client:
        reply = client.upload("subida.bin", data)
        assert (reply.ok, reply.message) == (True, "Escrito 300000 bytes en subida.bin")
        assert client.download("subida.bin") == data
        reply = client.upload("empty.txt", b"")
        assert (reply.ok, reply.message) == (True, "Escrito 0 bytes en empty.txt")
    assert (peer.share / "subida.bin").read_bytes() == data
    assert peer.names() == ["empty.txt", "subida.bin"]
    assert stat.S_IMODE((peer.share / "subida.bin").stat().st_mode) == 0o644


def test_upload_in_messages_of_any_size(peer):
    data = reference.random_bytes(5 * MIB)
    with peer.client() as client:
        for number, chunk in enumerate((997, 64 * KIB, MIB, 2 * MIB - 1000)):
            used = data if chunk > 5000 else data[:200_000]
            assert client.upload(f"{number}", used, chunk).ok
            assert (peer.share / f"{number}").read_bytes() == used


def test_upload_takes_the_first_name(peer):
    with peer.client() as client:
        reply = client.upload_messages([
            wire.UploadChunk(filename="first", data=b"1"), wire.UploadChunk(data=b""),
            wire.UploadChunk(filename="second", data=b"2"), wire.UploadChunk(data=b"3")])
    assert (reply.ok, reply.message) == (True, "Escrito 3 bytes en first")
    assert peer.names() == ["first"]
    assert (peer.share / "first").read_bytes() == b"123"


def test_upload_never_overwrites(net):
    peer = net.peer(files={"taken.txt": "mine"})
    with peer.client() as client:
        reply = client.upload("taken.txt", b"yours")
        assert (reply.ok, reply.message) == (False, "Ya existe taken.txt")
        reply = client.upload("taken.txt", b"mine")  # equal content: nothing to refuse
        assert (reply.ok, reply.message) == (True, "Escrito 4 bytes en taken.txt")
    assert (peer.share / "taken.txt").read_bytes() == b"mine"
    assert peer.names() == ["taken.txt"]


def test_upload_onto_what_is_no_file(net):
    peer = net.peer()
    outside = net.folder / "outside"
    (peer.share / "folder").mkdir()
    (peer.share / "dangling").symlink_to(outside)
    with peer.client() as client:
        assert not client.upload("folder", b"x").ok
        assert not client.upload("dangling", b"x").ok
    assert not outside.exists()
    assert peer.names() == ["dangling", "folder"]


def test_uploads_without_a_name(peer):
    with peer.client() as client:
        for number, name in enumerate(["upload.bin", "upload (1).bin", "upload (2).bin"]):
            reply = client.upload("", b"content %d" % number)
            assert (reply.ok, reply.message) == (True, f"Escrito 9 bytes en {name}")
            assert (peer.share / name).read_bytes() == b"content %d" % number


def test_uploaded_files_are_shared(peer):
    with peer.client() as client:
        assert client.upload("a.txt", b"abc").ok
        assert client.list_files() == {"a.txt": 3}


def test_many_calls_on_one_connection(net):
    data = reference.random_bytes(100_000)
    peer = net.peer(files={"a": data})
    with peer.client() as client:
        calls = [client.chunks("a") for _ in range(50)]
        for call in calls:
            assert b"".join(chunk.data for chunk in call) == data
        for _ in range(200):
            assert client.list_files() == {"a": 100_000}


def test_unknown_fields_are_ignored(net):
    """A later version may add fields to what it sends."""
    peer = net.peer(files={"a": "abc"})
    extra = b"\xfa\x3f\x03new" + b"\xf8\x3e\x07"  # field 1023, a string; field 1007, a number
    with peer.client() as client:
        listed = client.raw("unary_unary", "/peer.PeerService/ListFiles")(extra, timeout=10)
        assert wire.ListFilesResponse.FromString(listed).files[0].filename == "a"
        got = client.raw("unary_stream", "/peer.PeerService/DownloadFile")(
            b"\x0a\x01a" + extra, timeout=10)
        assert b"".join(wire.Chunk.FromString(message).data for message in got) == b"abc"
