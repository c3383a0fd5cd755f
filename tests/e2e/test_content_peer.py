"""Content ids, manifests and parts of files, by a client of its own; and who does not know them."""

import json
import time

import grpc
import pytest

import reference
from harness import wait_until
from reference import id_of, pieces_of
from stubs import content as wire
from stubs import peer as reference_wire

MIB = 1 << 20
SERVICE = "/peer.PeerService/"


class Client:
    def __init__(self, peer):
        self.channel = grpc.insecure_channel(
            peer.address, options=[("grpc.enable_http_proxy", 0)])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def stream(self, method, request, answer):
        call = self.channel.unary_stream(SERVICE + method, type(request).SerializeToString,
                                         answer.FromString)
        return list(call(request, timeout=30))

    def list(self):
        call = self.channel.unary_unary(
            SERVICE + "ListFiles", reference_wire.Empty.SerializeToString,
            wire.ListFilesResponse.FromString)
        return {f.filename: f for f in call(reference_wire.Empty(), timeout=30).files}

    def manifest(self, name, wanted=b""):
        parts = self.stream("GetManifest", wire.ManifestRequest(filename=name, content_id=wanted),
                            wire.ManifestPart)
        assert not any(part.content_id or part.size_bytes for part in parts[1:])
        return parts[0].content_id, parts[0].size_bytes, b"".join(p.piece_hashes for p in parts)

    def availability(self, wanted, name=""):
        call = self.channel.unary_unary(
            SERVICE + "GetAvailability", wire.AvailabilityRequest.SerializeToString,
            wire.AvailabilityResponse.FromString)
        return call(wire.AvailabilityRequest(content_id=wanted, filename=name), timeout=30)

    def download(self, name, **more):
        chunks = self.stream("DownloadFile", wire.DownloadRequest(filename=name, **more), wire.Chunk)
        assert not any(chunk.total_bytes or chunk.offset for chunk in chunks[1:])
        first = chunks[0] if chunks else wire.Chunk()
        return b"".join(chunk.data for chunk in chunks), first.total_bytes, first.offset

    def wait_id(self, name, content):
        wait_until(lambda: self.list()[name].content_id == id_of(content), 10, f"the id of {name}")


def refusal(call):
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code()


FILES = {"empty": b"", "byte": b"x", "piece": reference.random_bytes(MIB),
         "more": reference.random_bytes(7 * MIB // 2)}


@pytest.fixture
def world(net):
    peer = net.peer(files=FILES)
    with Client(peer) as client:
        for name, data in FILES.items():
            client.wait_id(name, data)
        yield peer, client


def test_manifests_are_as_described(world):
    _, client = world
    for name, data in FILES.items():
        assert client.manifest(name) == (id_of(data), len(data), b"".join(pieces_of(data)))
        assert client.manifest(name, id_of(data))[0] == id_of(data)
    assert refusal(lambda: client.manifest("missing")) == grpc.StatusCode.NOT_FOUND
    assert refusal(lambda: client.manifest("../x")) == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(lambda: client.manifest("byte", b"short")) == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(lambda: client.manifest("byte", bytes(32))) == grpc.StatusCode.ABORTED


def test_parts_of_a_file(world):
    _, client = world
    data = FILES["more"]
    size = len(data)
    for offset, length in [(0, 0), (0, size), (1, 0), (MIB, MIB), (MIB - 1, 2), (size - 1, 9),
                           (3 * MIB, 0), (12345, 700000)]:
        expected = data[offset:offset + length] if length else data[offset:]
        assert client.download("more", offset=offset, length=length) == (expected, size, offset)
        assert client.download("more", offset=offset, length=length,
                               content_id=id_of(data))[0] == expected
    assert client.download("more", offset=size) == (b"", 0, 0)
    assert client.download("empty", content_id=id_of(b"")) == (b"", 0, 0)
    for bad in ({"offset": size + 1}, {"offset": -1}, {"length": -1}, {"content_id": b"x"}):
        code = refusal(lambda: client.download("more", **bad))
        assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_who_leaves_the_choice_gets_what_others_were_not_given(world):
    _, client = world
    data = FILES["more"]

    def given(offset=0, length=MIB, alternatives=b"\x0f", **more):
        chunks = client.stream("DownloadFile", wire.DownloadRequest(
            filename="more", content_id=id_of(data), offset=offset, length=length,
            alternatives=alternatives, **more), wire.Chunk)
        first = chunks[0]
        assert not any(chunk.total_bytes or chunk.offset or chunk.length for chunk in chunks[1:])
        assert first.total_bytes == len(data)
        got = b"".join(chunk.data for chunk in chunks)
        assert got == data[first.offset:first.offset + len(got)]
        assert first.length in (0, len(got))
        return first.offset // MIB, len(got), first.length > 0

    whole = [given() for _ in range(4)]
    assert whole == [(0, MIB, True), (1, MIB, True), (2, MIB, True), (3, MIB // 2, True)]
    assert given(length=2 * MIB, alternatives=b"\x07") == (0, 2 * MIB, True)
    assert given(length=2 * MIB, alternatives=b"\x07") == (2, MIB, True)
    assert given(alternatives=b"\x01", alternatives_from=3) == (3, MIB // 2, True)
    assert given(alternatives=b"\x80", alternatives_from=1 << 40) == (0, MIB, True)
    assert given(alternatives=b"") == (0, MIB, False)
    assert given(offset=5, length=9) == (0, 9, False)
    assert given(alternatives_from=-1) == (0, MIB, False)


def test_content_that_has_changed_is_refused(world):
    peer, client = world
    old = id_of(FILES["piece"])
    new = FILES["piece"][::-1]
    (peer.share / "piece").write_bytes(new)
    assert refusal(lambda: client.download("piece", content_id=old)) in (
        grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)
    client.wait_id("piece", new)
    assert refusal(lambda: client.download("piece", content_id=old)) == grpc.StatusCode.ABORTED
    assert refusal(lambda: client.manifest("piece", old)) == grpc.StatusCode.ABORTED
    assert client.download("piece", content_id=id_of(new))[0] == new


def test_a_client_of_the_reference_sees_nothing_of_it(world):
    peer, _ = world
    with peer.client() as client:
        assert client.list_files() == {name: len(data) for name, data in FILES.items()}
        for name, data in FILES.items():
            assert client.download(name) == data


def test_ids_are_kept_over_a_restart_and_a_kill(net):
    data = reference.random_bytes(5 * MIB // 2)
    peer = net.peer(files={"a": data})
    with Client(peer) as client:
        client.wait_id("a", data)
    peer.kill()
    (peer.share / "a").rename(peer.share / "b")
    peer.start()
    with Client(peer) as client:
        client.wait_id("b", data)
        assert client.manifest("b") == (id_of(data), len(data), b"".join(pieces_of(data)))


def test_our_directory_is_told_and_the_search_shows_it(net):
    directory = net.directory()
    same, other = reference.random_bytes(2000), reference.random_bytes(3000)
    peer = net.peer("Peer1", directory, files={"f": same})
    net.peer("Peer2", directory, files={"f": other})
    net.peer("Peer3", directory, files={"f": same})

    def found():
        result = peer.command("search", "f", "--json")
        return json.loads(result.stdout)["sources"] if result.returncode == 0 else []

    wait_until(lambda: sorted((s["content"] or "", s["size_bytes"]) for s in found()) == sorted(
        (id_of(d).hex(), len(d)) for d in (same, same, other)), 15, "all ids")
    order = [source["content"] for source in found()]
    assert order in ([id_of(same).hex()] * 2 + [id_of(other).hex()],
                     [id_of(other).hex()] + [id_of(same).hex()] * 2)
    shown = peer.command("search", "f")
    assert id_of(same).hex()[:12] in shown.stdout and id_of(other).hex()[:12] in shown.stdout
    assert "2 contenidos distintos" in shown.stderr
    listed = json.loads(peer.command("list", "--json").stdout)["files"]
    assert [(f["size_bytes"], f["content"]) for f in listed] == [(2000, id_of(same).hex())]
    assert id_of(same).hex()[:12] in peer.command("list").stdout


def test_the_directory_of_the_reference_is_told_names_only(net):
    directory = net.reference_directory()
    peer = net.peer("Peer1", directory, files={"a": "hello"})
    with Client(peer) as client:
        client.wait_id("a", b"hello")
    wait_until(lambda: directory.files_of("Peer1") == ["a"], 10, "the index")
    time.sleep(2.5)  # long enough for a login with ids, were there one
    assert directory.keys_told == {"filename", "url"}
    found = json.loads(peer.command("search", "a", "--json").stdout)["sources"]
    assert [(s["size_bytes"], s["content"]) for s in found] == [(None, None)]
