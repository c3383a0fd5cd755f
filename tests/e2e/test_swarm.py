"""Files are served while they arrive: partial sources, from the directory to the last piece."""

import json
import time

import grpc
import pytest

import reference
from harness import wait_until
from reference import id_of
from stubs import content as wire
from test_content_peer import Client, pieces_of, refusal
from test_transfers import Keeper, arrived, ended, job, start_get, wait_job

MIB = 1024 * 1024


def seed(net, directory, size, rate):
    """A stand-in that has the whole file, so slow that receivers have something to exchange."""
    data = reference.random_bytes(size)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = rate
    Keeper(directory).tell("Peer4", source, data)
    return source, data


def held(peer, data):
    """The pieces that the peer says it has; all of them when it is complete."""
    with Client(peer) as client:
        try:
            answer = client.availability(id_of(data))
        except grpc.RpcError:
            return set()
    count = len(pieces_of(data))
    if not answer.pieces:
        return set(range(count))
    return {i for i in range(count) if answer.pieces[i // 8] >> i % 8 & 1}


def partial(directory):
    """Who is listed as having a part."""
    reply = directory.get("/buscar_archivos", filename="a.bin", partial="1")
    return {entry["peer"] for entry in reply.json.get("disponible_en", ()) if entry.get("partial")}


@pytest.mark.long
def test_two_receivers_give_each_other_what_they_have(net):
    directory = net.directory()
    source, data = seed(net, directory, 40 * MIB + 5, 3 * MIB)
    peers = [net.peer(name, directory) for name in ("Peer1", "Peer2")]
    getting = [start_get(peer, "a.bin") for peer in peers]
    wait_until(lambda: partial(directory) == {"Peer1", "Peer2"}, 10, "both to be listed")
    # Who knows nothing of parts sees who has the whole file only.
    assert set(directory.sources("a.bin")) == {"Peer4"}
    assert directory.files_of("Peer1") == []
    assert '"peers":["Peer1"' not in peers[0].command("search", "a.bin", "--json").stdout
    for process in getting:
        assert ended(process)[0] == 0
    for peer in peers:
        arrived(peer, data)
    assert len(data) <= source.sent < 1.75 * len(data)
    wait_until(lambda: {"Peer1", "Peer2"} <= set(directory.sources("a.bin")), 10,
               "both to be listed as complete")
    assert partial(directory) == set()


@pytest.mark.long
def test_the_seeder_dies_when_its_copy_is_spread(net):
    directory = net.directory()
    source, data = seed(net, directory, 48 * MIB, 4 * MIB)
    peers = [net.peer(name, directory, upload_limit=MIB // 4) for name in ("Peer1", "Peer2")]
    getting = [start_get(peer, "a.bin") for peer in peers]
    everything = set(range(48))

    def is_spread():
        parts = [held(peer, data) for peer in peers]
        assert everything not in parts, "one was complete before its part was of use"
        if len(parts[0] | parts[1]) >= 40:
            source.rate = MIB  # time to see it
        return parts[0] | parts[1] == everything

    wait_until(is_spread, 30, "a whole copy")
    source.stop()
    for peer in peers:
        peer.command("limit", "--upload", "none")
    for process in getting:
        assert ended(process)[0] == 0
    for peer in peers:
        arrived(peer, data)


def test_what_arrives_is_told_and_served_piece_by_piece(net):
    directory = net.directory()
    source, data = seed(net, directory, 12 * MIB + 77, 2 * MIB)
    peer = net.peer("Peer1", directory)
    content = id_of(data)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] >= 3 * MIB)
    source.rate = 64 * 1024  # it does not end while we look
    with Client(peer) as client:
        answer = client.availability(content)
        assert (answer.size_bytes, answer.filename, len(answer.pieces)) == (len(data), "a.bin", 2)
        have = held(peer, data)
        assert 3 <= len(have) < 13
        assert client.manifest("", content) == (content, len(data), b"".join(pieces_of(data)))
        for piece in have:
            part = data[piece * MIB:(piece + 1) * MIB]
            got = client.download("a.bin", offset=piece * MIB, length=MIB, content_id=content)
            assert got == (part, len(data), piece * MIB)
        # Who exchanges pieces hears what has come meanwhile, with the data, in small messages.
        piece = min(have)
        chunks = client.stream("DownloadFile", wire.DownloadRequest(
            filename="a.bin", offset=piece * MIB, length=MIB, content_id=content, exchanges=True),
            wire.Chunk)
        assert b"".join(chunk.data for chunk in chunks) == data[piece * MIB:(piece + 1) * MIB]
        assert max(len(chunk.data) for chunk in chunks) <= MIB // 4
        told = {i for i in range(13) if chunks[0].pieces[i // 8] >> i % 8 & 1}
        assert have <= told <= held(peer, data)
        # All of it, by name alone, or other content: there is no such thing here.
        code = grpc.StatusCode.NOT_FOUND
        assert refusal(lambda: client.download("a.bin", content_id=content)) == code
        assert refusal(lambda: client.download("a.bin")) == code
        assert refusal(lambda: client.manifest("a.bin")) == code
        assert refusal(lambda: client.availability(bytes(32))) == code
        assert refusal(lambda: client.manifest("", bytes(32))) == code
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        for wrong in (b"", b"x", bytes(33)):
            assert refusal(lambda: client.availability(wrong)) == invalid
        assert refusal(lambda: client.download(
            "a.bin", offset=len(data) + 1, content_id=content)) == invalid
        source.rate = None
        assert ended(getting)[0] == 0
        arrived(peer, data)
        answer = client.availability(content)
        assert (answer.size_bytes, answer.pieces, answer.filename) == (len(data), b"", "a.bin")
        assert client.manifest("", content)[0] == content


def test_a_stream_goes_on_when_the_file_gets_its_name(net):
    directory = net.directory()
    source, data = seed(net, directory, 10 * MIB, 8 * MIB)
    slow = net.peer("Peer1", directory, upload_limit="1 MiB/s")
    getting = start_get(slow, "a.bin")
    wait_until(lambda: len(held(slow, data)) >= 3, 20, "some pieces")
    have = sorted(held(slow, data))
    with Client(slow) as client:
        run = next(piece for piece in have if piece + 1 in have)
        got = client.download("a.bin", offset=run * MIB, length=2 * MIB, content_id=id_of(data))
        assert ended(getting)[0] == 0
        assert got[0] == data[run * MIB:(run + 2) * MIB]
    arrived(slow, data)


def test_who_has_a_part_only_is_waited_for(net):
    """Nobody has the whole file: what there is is fetched, and the reason of the wait is told."""
    directory = net.directory()
    source, data = seed(net, directory, 32 * MIB, 2 * MIB)
    first = net.peer("Peer1", directory)
    start = start_get(first, "a.bin")
    wait_until(lambda: partial(directory) == {"Peer1"}, 10, "it to be listed")
    wait_job(first, lambda row: row["held_bytes"] >= 4 * MIB)
    source.stop()
    directory.login("Peer4", files_index="[]")
    second = net.peer("Peer2", directory)
    other = start_get(second, "a.bin")
    row = wait_job(second, lambda row: row["state"] == "waiting" and "piezas" in row["reason"], 20)
    assert row["held_bytes"] >= 4 * MIB
    assert held(second, data) == held(first, data)
    again = net.peer("Peer3", directory, files={"a.bin": data})  # somebody brings the rest
    assert ended(start)[0] == 0
    assert ended(other)[0] == 0
    arrived(first, data)
    arrived(second, data)
    assert again.names() == ["a.bin"]


class PartialPeer(reference.ContentPeer):
    """One that has these pieces only, and counts how often it is asked what it has."""

    def __init__(self, folder, **options):
        self.pieces, self.asked = {0}, 0
        super().__init__(folder, **options)

    def register(self):
        super().register()
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "peer.PeerService", {"GetAvailability": grpc.unary_unary_rpc_method_handler(
                self.Availability, wire.AvailabilityRequest.FromString,
                wire.AvailabilityResponse.SerializeToString)}),))

    def Availability(self, _request, _context):
        self.asked += 1
        bits = bytes(sum(1 << piece % 8 for piece in self.pieces if piece // 8 == byte)
                     for byte in range(2))
        return wire.AvailabilityResponse(size_bytes=12 * MIB, pieces=bits, filename="a.bin")


def test_a_source_that_has_nothing_for_us_is_asked_less_and_less(net):
    directory = net.directory()
    data = reference.random_bytes(12 * MIB)
    source = net.reference_peer(PartialPeer, files={"a.bin": data})
    told = {"filename": "a.bin", "url": [source.address], "size": len(data),
            "content": id_of(data).hex(), "partial": True}
    assert directory.login("Peer2", files_index=json.dumps([told])).status == 200
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] == MIB)
    before = source.asked
    time.sleep(12)
    assert 8 <= source.asked - before <= 28  # it was 48
    source.pieces = set(range(12))
    assert ended(getting, 8)[0] == 0
    arrived(peer, data)


def test_what_goes_to_a_reader_is_not_served(net, tmp_path):
    directory = net.directory()
    source, data = seed(net, directory, 8 * MIB, 2 * MIB)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin", "--output", str(tmp_path / "out"))
    wait_until(lambda: (job(peer) or {"held_bytes": 0})["held_bytes"] >= 2 * MIB, 10, "some of it")
    assert held(peer, data) == set()
    assert ended(getting)[0] == 0
    assert partial(directory) == set()


def test_the_directory_of_the_reference_is_told_of_whole_files_only(net):
    directory = net.reference_directory()
    data = reference.random_bytes(12 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = 2 * MIB
    peer = net.peer("Peer1", directory, files={"b.txt": b"b"})
    getting = start_get(peer, "a.bin", "--from", source.address)
    wait_until(lambda: len(held(peer, data)) >= 6, 20, "half of it")
    assert "a.bin" not in str(directory.entries)
    assert ended(getting)[0] == 0
    assert peer.names() == ["a.bin", "b.txt"]
