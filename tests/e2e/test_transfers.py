"""Downloads in pieces: several sources at once, verified, and gone on with after whatever happens."""

import json
import socket
import subprocess
import time

import pytest

import harness
import reference
from harness import wait_until
from reference import id_of

MIB = 1024 * 1024


def tell(directory, peer, source, data, name="a.bin", known=True):
    """Tells our directory of a file at an address, with its content or without."""
    entry = {"filename": name, "url": [source.address]}
    if known:
        entry.update(size=len(data), content=id_of(data).hex())
    reply = directory.login(peer, files_index=json.dumps([entry]))
    assert reply.status == 200, reply


class Keeper:
    """Logs the stand-ins in again and again, as peers do."""

    def __init__(self, directory):
        self.directory = directory
        self.told = {}

    def tell(self, peer, source, data, name="a.bin", known=True):
        self.told[peer] = (source, data, name, known)
        self.again()

    def again(self):
        for peer, told in self.told.items():
            tell(self.directory, peer, *told)


def start_get(peer, *arguments):
    return subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", *arguments, "--config", str(peer.config_path)],
        env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)


def ended(process, timeout=60):
    """Exit status, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=timeout * harness.PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode >= 0 and not harness.REPORT.search(err), (process.returncode, err)
    return process.returncode, out, err


def status(peer):
    result = peer.command("status", "--json")
    return json.loads(result.stdout) if result.returncode == 0 else {"downloads": {"jobs": []}}


def job(peer):
    jobs = status(peer)["downloads"]["jobs"]
    return jobs[0] if jobs else None


def wait_job(peer, check, timeout=20, what="the job"):
    def ready():
        row = job(peer)
        return row if row and check(row) else None

    return wait_until(ready, timeout, what)


def journals(peer):
    """What is recorded of downloads; all that wait are in one file, which is always there."""
    folder = peer.folder / "state" / "downloads"
    return sorted(entry for entry in folder.glob("*") if entry.name != "wanted.jsonl" or
                  entry.stat().st_size > 0)


def arrived(peer, data, name="a.bin"):
    """The file is there whole, and nothing else is left of it."""
    assert (peer.share / name).read_bytes() == data
    assert peer.names() == [name]
    assert journals(peer) == []


@pytest.mark.parametrize("size", [1, MIB - 1, MIB, MIB + 1, 5 * MIB + 12345])
def test_one_source(net, size):
    directory = net.directory()
    data = reference.random_bytes(size)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    tell(directory, "Peer2", source, data)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin")
    assert result.returncode == 0, result.stderr
    arrived(peer, data)
    assert source.sent == size
    # What was verified need not be hashed again: the id is told at once.
    wait_until(lambda: id_of(data).hex() in peer.command("list", "--json").stdout, 3, "the id")


def test_several_sources_at_once(net):
    directory = net.directory()
    data = reference.random_bytes(36 * MIB + 7)
    keeper = Keeper(directory)
    sources = []
    for number in (2, 3, 4):
        source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
        source.rate = MIB  # until it was seen
        keeper.tell(f"Peer{number}", source, data)
        sources.append(source)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    seen = wait_job(peer, lambda row: row["sources"] == 3)
    assert "y 2 más" in seen["source"]
    for source in sources:
        source.rate = 8 * MIB
    assert ended(getting)[0] == 0
    arrived(peer, data)
    assert all(source.sent >= 3 * MIB for source in sources)
    assert sum(source.sent for source in sources) < len(data) + 12 * MIB


def tell_addresses(directory, addresses, data):
    entry = {"filename": "a.bin", "url": addresses, "size": len(data), "content": id_of(data).hex()}
    assert directory.login("Peer2", files_index=json.dumps([entry])).status == 200


def test_two_addresses_of_one_peer_are_one_source(net):
    directory = net.directory()
    data = reference.random_bytes(24 * MIB)
    doors = [net.reference_peer(reference.ContentPeer, files={"a.bin": data}) for _ in range(2)]
    for door in doors:
        door.rate = 4 * MIB
    tell_addresses(directory, [door.address for door in doors], data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    rows = [wait_job(peer, lambda row: row["held_bytes"] >= part * MIB) for part in range(2, 9, 2)]
    assert {row["sources"] for row in rows} == {1}
    used, spare = doors if doors[0].sent else doors[::-1]
    assert spare.sent == 0
    used.stop()  # the next address has its turn
    assert ended(getting)[0] == 0
    arrived(peer, data)
    assert spare.sent >= len(data) - used.sent


def test_an_address_that_says_nothing_does_not_hold_up_the_next(net):
    directory = net.directory()
    data = reference.random_bytes(4 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tell_addresses(directory, [f"127.0.0.1:{silent.getsockname()[1]}", source.address], data)
        peer = net.peer("Peer1", directory)
        began = time.monotonic()
        assert ended(start_get(peer, "a.bin"))[0] == 0
        assert time.monotonic() - began < 7 * harness.PATIENCE  # to be sure of it takes ten
    arrived(peer, data)


def test_with_a_peer_of_the_reference(net):
    """It knows no hashes and sends from the start: what it sends is verified all the same."""
    directory = net.directory()
    data = reference.random_bytes(16 * MIB + 3)
    ours = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    ours.rate = MIB
    theirs = net.reference_peer(files={"a.bin": data})
    keeper = Keeper(directory)
    keeper.tell("Peer2", ours, data)
    keeper.tell("Peer3", theirs, data, known=False)
    peer = net.peer("Peer1", directory)
    assert ended(start_get(peer, "a.bin"))[0] == 0
    arrived(peer, data)
    assert ours.sent < 12 * MIB  # the other one did its part


def test_a_peer_of_the_reference_with_other_content(net):
    directory = net.directory()
    data = reference.random_bytes(8 * MIB)
    ours = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    ours.rate = 4 * MIB
    theirs = net.reference_peer(files={"a.bin": data[::-1]})
    keeper = Keeper(directory)
    keeper.tell("Peer2", ours, data)
    keeper.tell("Peer3", theirs, data, known=False)
    peer = net.peer("Peer1", directory)
    assert ended(start_get(peer, "a.bin"))[0] == 0
    arrived(peer, data)


def test_a_source_that_lies(net):
    """It is named, and asked no more; the file is right."""
    directory = net.directory()
    data = reference.random_bytes(20 * MIB)
    good = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    good.rate = 4 * MIB
    liar = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    liar.lies = lambda offset: True
    keeper = Keeper(directory)
    keeper.tell("Peer2", good, data)
    keeper.tell("Peer3", liar, data)
    peer = net.peer("Peer1", directory)
    assert ended(start_get(peer, "a.bin"))[0] == 0
    arrived(peer, data)
    assert liar.sent <= 5 * MIB  # it was not asked again


def test_only_a_source_that_lies(net):
    directory = net.directory()
    data = reference.random_bytes(3 * MIB)
    liar = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    liar.lies = lambda offset: True
    tell(directory, "Peer3", liar, data)
    peer = net.peer("Peer1", directory)
    code, _, err = ended(start_get(peer, "a.bin"))
    assert code == 1
    assert "Peer3" in err and "datos falsos" in err
    assert peer.names() == [] and journals(peer) == []


def test_a_source_that_stalls(net):
    """Its pieces go elsewhere, long before anybody would lose patience."""
    directory = net.directory()
    data = reference.random_bytes(16 * MIB)
    good = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    good.rate = 8 * MIB
    stalled = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    stalled.stall_after = 512 * 1024
    keeper = Keeper(directory)
    keeper.tell("Peer2", stalled, data)
    keeper.tell("Peer3", good, data)
    peer = net.peer("Peer1", directory)
    assert ended(start_get(peer, "a.bin"), 25)[0] == 0
    arrived(peer, data)


def test_a_source_that_breaks_off_again_and_again(net):
    directory = net.directory()
    data = reference.random_bytes(5 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.break_after = 2 * MIB
    tell(directory, "Peer2", source, data)
    peer = net.peer("Peer1", directory)
    assert ended(start_get(peer, "a.bin"))[0] == 0
    arrived(peer, data)
    assert source.sent <= len(data) + 3 * 2 * MIB


@pytest.mark.long
def test_a_source_is_killed_and_another_goes_on(net):
    directory = net.directory()
    data = reference.random_bytes(48 * MIB)
    source = net.peer("Peer2", directory, files={"a.bin": data}, upload_limit=4 * MIB)
    other = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    other.rate = 6 * MIB
    tell(directory, "Peer3", other, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin", "--from", "Peer3")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    source.kill()
    assert ended(getting)[0] == 0
    arrived(peer, data)


@pytest.mark.parametrize("moment", [0.0, 0.3, 1.0, 2.6])
def test_killed_and_gone_on(net, moment):
    """kill -9 of the downloader: what was written is not fetched again."""
    directory = net.directory()
    data = reference.random_bytes(40 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = 4 * MIB
    keeper = Keeper(directory)
    keeper.tell("Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    time.sleep(moment)
    peer.kill()
    ended(getting)
    assert len(peer.names()) == 1 and peer.names()[0].startswith(".p2p-part-")
    source.rate = None
    keeper.again()
    peer.start()
    wait_until(lambda: peer.names() == ["a.bin"], 30, "the download to end")
    wait_until(lambda: journals(peer) == [], 5, "the journal to go")
    arrived(peer, data)
    # Lost are the pieces that were under way, and what had not left the source's socket.
    assert source.sent <= len(data) + 6 * MIB


def test_stopped_and_gone_on(net):
    """A daemon that is asked to stop records all that it has."""
    directory = net.directory()
    data = reference.random_bytes(20 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = 2 * MIB
    keeper = Keeper(directory)
    keeper.tell("Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 4 * MIB)
    assert peer.terminate() < harness.STOPS_WITHIN
    ended(getting)
    assert len(journals(peer)) == 1
    source.rate = None
    keeper.again()
    peer.start()
    wait_until(lambda: peer.names() == ["a.bin"], 30, "the download to end")
    wait_until(lambda: journals(peer) == [], 5, "the journal to go")
    arrived(peer, data)
    assert source.sent <= len(data) + 6 * MIB


def test_a_file_that_is_not_there_any_more_is_begun_anew(net):
    directory = net.directory()
    data = reference.random_bytes(10 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = MIB
    keeper = Keeper(directory)
    keeper.tell("Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    peer.terminate()
    ended(getting)
    for name in peer.names():
        (peer.share / name).unlink()
    source.rate = None
    keeper.again()
    peer.start()
    wait_until(lambda: peer.names() == ["a.bin"], 30, "the download to end")
    assert (peer.share / "a.bin").read_bytes() == data


def test_a_journal_that_is_none(net):
    """It is moved aside with a warning, and nothing else suffers."""
    peer = net.peer()
    peer.terminate()
    folder = peer.folder / "state" / "downloads"
    (folder / "7.journal").write_bytes(b"not a journal")
    (folder / "8.journal").write_bytes(b"")
    peer.start()
    assert sorted(entry.name for entry in folder.iterdir()) == ["7.journal.bad", "8.journal.bad",
                                                               "wanted.jsonl"]
    assert "journal" in peer.log


def test_all_sources_gone_then_back(net):
    """It waits, says for what, and ends by itself."""
    directory = net.directory(expiry=5)
    data = reference.random_bytes(12 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = MIB
    keeper = Keeper(directory)
    keeper.tell("Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    source.stop()
    waiting = wait_job(peer, lambda row: row["state"] == "waiting", 30)
    assert "Peer2" in waiting["reason"]
    assert waiting["sources"] == 0
    back = net.reference_peer(reference.ContentPeer, files={"a.bin": data})  # at another address
    keeper.tell("Peer2", back, data)

    def over():
        keeper.again()
        time.sleep(0.5)
        return getting.poll() is not None

    wait_until(over, 40, "the download to end")
    assert ended(getting)[0] == 0
    arrived(peer, data)
    assert back.sent < len(data)


def test_the_file_changes_at_the_source(net):
    """The job keeps what it has, and waits for somebody who has the rest."""
    directory = net.directory()
    data = reference.random_bytes(12 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.break_after = 3 * MIB
    source.rate = 2 * MIB
    keeper = Keeper(directory)
    keeper.tell("Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    reference.write_file(source.folder / "a.bin", data[::-1])
    wait_job(peer, lambda row: row["state"] == "waiting" and "contenido" in row["reason"])
    other = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    keeper.tell("Peer3", other, data)
    assert ended(getting)[0] == 0
    arrived(peer, data)


def test_the_directory_is_away_while_it_runs(net):
    directory = net.directory()
    data = reference.random_bytes(48 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = 4 * MIB
    tell(directory, "Peer2", source, data)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    directory.terminate()
    assert ended(getting)[0] == 0  # over 10 seconds: it was asked in vain
    arrived(peer, data)


@pytest.mark.root
def test_a_disk_that_is_full_and_then_is_not(net, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=True)
    try:
        directory = net.directory()
        data = reference.random_bytes(8 * MIB)
        source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
        keeper = Keeper(directory)
        keeper.tell("Peer2", source, data)
        (folder / ".filler").write_bytes(bytes(6 * MIB))
        peer = net.peer("Peer1", directory, share=folder)
        getting = start_get(peer, "a.bin")
        waiting = wait_job(peer, lambda row: row["state"] == "waiting")
        assert "espacio" in waiting["reason"]
        assert source.sent == 0
        (folder / ".filler").unlink()
        assert ended(getting)[0] == 0
        assert (folder / "a.bin").read_bytes() == data
        assert journals(peer) == []
    finally:
        net.finish()
        net.running.clear()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_to_a_reader_over_a_broken_source(net):
    """The bytes come out in order and once, whatever happens to the sources."""
    directory = net.directory()
    data = reference.random_bytes(12 * MIB + 5)
    keeper = Keeper(directory)
    for number in (2, 3):
        source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
        source.break_after = 2 * MIB + 7
        source.rate = 16 * MIB
        keeper.tell(f"Peer{number}", source, data)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin", "--output", "-", text=False, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout == data
    assert peer.names() == [] and journals(peer) == []


def test_two_downloads_of_one_name(net):
    directory = net.directory()
    data = reference.random_bytes(6 * MIB)
    source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
    source.rate = 6 * MIB
    tell(directory, "Peer2", source, data)
    peer = net.peer("Peer1", directory)
    both = [start_get(peer, "a.bin"), start_get(peer, "a.bin")]
    assert [ended(getting)[0] for getting in both] == [0, 0]
    arrived(peer, data)


def test_content_is_not_mixed(net):
    """One name, two contents: the one that most have is fetched, or that of the peer that is named."""
    directory = net.directory()
    most, other = reference.random_bytes(4 * MIB), reference.random_bytes(4 * MIB, 2)
    keeper = Keeper(directory)
    for number, data in ((2, other), (3, most), (4, most)):
        source = net.reference_peer(reference.ContentPeer, files={"a.bin": data})
        keeper.tell(f"Peer{number}", source, data)
    peer = net.peer("Peer1", directory.url, auth_enabled=False)
    assert ended(start_get(peer, "a.bin"))[0] == 0
    assert (peer.share / "a.bin").read_bytes() == most
    assert ended(start_get(peer, "a.bin", "--from", "Peer2"))[0] == 0
    assert (peer.share / "a (1).bin").read_bytes() == other


def test_a_thousand_tiny_messages_cost_no_memory(net):
    """Messages so small that keeping each would cost many times its bytes."""

    class Tiny(reference.ContentPeer):
        def Part(self, request, context):
            data = self.read(request, context)
            yield reference.content.Chunk(data=data[request.offset:request.offset + 1],
                                          total_bytes=len(data), offset=request.offset)
            for at in range(request.offset + 1, len(data), 50):
                yield reference.content.Chunk(data=data[at:at + 50])

    directory = net.directory()
    data = reference.random_bytes(2 * MIB)
    source = net.reference_peer(Tiny, files={"a.bin": data})
    tell(directory, "Peer2", source, data)
    peer = net.peer("Peer1", directory)
    before = peer.status_value("VmHWM")
    assert ended(start_get(peer, "a.bin"))[0] == 0
    arrived(peer, data)
    if not harness.SANITIZER:
        assert peer.status_value("VmHWM") - before < 16 * 1024
