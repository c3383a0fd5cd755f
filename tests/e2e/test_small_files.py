"""Many small files at once: fetched together from who sends them so, else in one call each; stored
together, and none is lost or half there."""

import hashlib
import json
import shutil
import threading
import time
import urllib.parse

import grpc
import pytest

import reference
from harness import PASSWORD, wait_until
from reference import id_of
from test_transfers import ended, journals, start_get, status

MIB = 1024 * 1024
EITHER = pytest.mark.parametrize("kind", [reference.ContentPeer, reference.FilesPeer])


def make_files(count):
    """Of all small sizes: none, one byte, a block of hashes, exactly a piece."""
    sizes = [0, 1, 4096, 16384, 16385, 100_000, MIB - 1, MIB]
    return {f"f{number:03}.bin": reference.random_bytes(sizes[number % len(sizes)] if number < 16
                                                        else 4096) for number in range(count)}


def tell_all(directory, source, files, peer="Peer2"):
    entries = [{"filename": name, "url": [source.address], "size": len(data),
                "content": id_of(data).hex()} for name, data in files.items()]
    form = {"username": peer, "password": PASSWORD, "files_index": json.dumps(entries)}
    reply = directory.request("POST", "/login", body=urllib.parse.urlencode(form).encode(),
                              headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.status == 200, reply


def zeroed(part):
    """A message whose files all have other bytes."""
    for file in part.files:
        file.data = bytes(len(file.data))
    return part


def one_by_one(seconds, done=threading.Event()):
    """Each file in a message of its own, and a wait after it."""
    def spoil(parts, _request, _context):
        for part in parts:
            for file in part.files:
                yield reference.content.FilesPart(files=[file])
                done.wait(seconds)
    return spoil


def check_all(peer, files):
    assert peer.names() == sorted(files)
    for name, data in files.items():
        assert hashlib.sha256((peer.share / name).read_bytes()).digest() == \
            hashlib.sha256(data).digest(), name


@EITHER
def test_many(net, kind):
    """Nobody is asked for hashes, and every file is called for once."""
    directory = net.directory()
    files = make_files(300)
    source = net.reference_peer(kind, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "--json", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert sorted(row["name"] for row in rows if "path" in row) == sorted(files)
    check_all(peer, files)
    assert source.manifests == 0
    wanted = sum(1 for data in files.values() if data)
    if kind is reference.FilesPeer:
        assert source.calls == [] and sum(source.files_calls) == wanted
        assert len(source.files_calls) < 30
    else:
        assert len(source.calls) == wanted
    assert journals(peer) == []


def test_directory_of_the_reference(net):
    """It takes no question for many names, and is not asked one again and again."""
    directory = net.reference_directory()
    files = {f"f{number:02}": reference.random_bytes(3000) for number in range(60)}
    source = net.reference_peer(files=files)
    entries = json.dumps([{"filename": name, "url": [source.address]} for name in files])
    assert directory.login("Peer2", PASSWORD, entries)[0] == 200
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)
    assert directory.asked.count("GET /buscar_archivos") >= len(files)
    assert directory.asked.count("POST /buscar_archivos") <= 4  # of as many threads


@EITHER
def test_one_lies(net, kind):
    """The others are asked; what is false is never stored."""
    directory = net.directory()
    files = {f"f{number}": reference.random_bytes(5000) for number in range(20)}
    liar = net.reference_peer(kind, files=files)
    liar.lies = lambda offset: True
    liar.spoil = lambda parts, request, context: map(zeroed, parts)
    honest = net.reference_peer(kind, files=files)
    tell_all(directory, liar, files, "Peer2")
    tell_all(directory, honest, files, "Peer3")
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)


def test_nobody_tells_the_truth(net):
    directory = net.directory()
    files = {"a.bin": reference.random_bytes(5000)}
    liar = net.reference_peer(reference.ContentPeer, files=files)
    liar.lies = lambda offset: True
    tell_all(directory, liar, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "a.bin", timeout=60)
    assert result.returncode == 1 and "datos falsos" in result.stderr
    assert peer.names() == [] and journals(peer) == []


def test_a_name_that_is_taken(net):
    directory = net.directory()
    files = {f"f{number}.txt": reference.random_bytes(300) for number in range(10)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, files={"f3.txt": b"mine", "f4.txt": files["f4.txt"]})
    result = peer.command("get", *files, timeout=60)
    assert result.returncode == 0, result.stderr
    expected = {**files, "f3.txt": b"mine", "f3 (1).txt": files["f3.txt"]}
    check_all(peer, expected)
    assert "f3 (1).txt" in result.stdout + result.stderr


@EITHER
def test_killed_among_many(net, kind):
    """What was told to be done is there; the rest is fetched by the next daemon; nothing is half."""
    directory = net.directory(expiry=600)  # the source is there for as long as it takes
    files = {f"f{number:03}": reference.random_bytes(4096) for number in range(400)}
    source = net.reference_peer(kind, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, download_limit=1024)  # a file in 4 seconds
    getting = start_get(peer, *files)
    wait_until(lambda: sum(status(peer)["downloads"].get(state, 0) for state in
                           ("queued", "running", "done")) == len(files), 30, "all to be in line")
    assert peer.command("limit", "--download", "20K").returncode == 0
    wait_until(lambda: len(peer.names()) > 10, 30, "some files")
    peer.kill()
    told = {line.rpartition("/")[2] for line in ended(getting)[1].splitlines()
            if line.startswith("Archivo descargado: ")}
    assert told
    for name in told | {name for name in peer.names() if not name.startswith(".")}:
        assert (peer.share / name).read_bytes() == files[name]
    assert len(peer.names()) < len(files)
    tell_all(directory, source, files)
    peer.start()
    assert peer.command("limit", "--download", "none").returncode == 0
    wait_until(lambda: peer.names() == sorted(files), 60, "all files")
    wait_until(lambda: journals(peer) == [], 20, "the line to be empty")
    check_all(peer, files)


def test_paused_in_line_over_a_restart(net):
    directory = net.directory()
    files = {"a.bin": reference.random_bytes(4096), "b.bin": reference.random_bytes(4096)}
    source = net.reference_peer(reference.ContentPeer, files=files)
    source.stall_after = 0
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    getting = [start_get(peer, name) for name in files]
    rows = wait_until(lambda: len(status(peer)["downloads"]["jobs"]) == 2 and
                      status(peer)["downloads"]["jobs"], 20, "two jobs")
    paused = next(row for row in rows if row["name"] == "a.bin")
    assert peer.command("downloads", "pause", str(paused["id"])).returncode == 0
    wait_until(lambda: any(row["state"] == "paused" for row in status(peer)["downloads"]["jobs"]),
               20, "the pause")
    peer.kill()
    for process in getting:
        ended(process)
    source.stall_after = None
    tell_all(directory, source, files)
    peer.start()
    wait_until(lambda: "b.bin" in peer.names(), 30, "the other file")
    row = next(row for row in status(peer)["downloads"]["jobs"] if row["name"] == "a.bin")
    assert row["state"] == "paused" and "a.bin" not in peer.names()
    assert peer.command("downloads", "resume", str(row["id"])).returncode == 0
    wait_until(lambda: "a.bin" in peer.names(), 30, "the paused file")
    check_all(peer, files)


@EITHER
@pytest.mark.root
def test_a_full_disk(net, small_disk, kind):
    """2 MiB for 3 MiB: what does not fit waits for room and says so."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(100_000) for number in range(30)}
    source = net.reference_peer(kind, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, share=small_disk)
    try:
        getting = start_get(peer, *files)
        wait_until(lambda: any(row["state"] == "waiting" and "espacio" in row["reason"]
                               for row in status(peer)["downloads"]["jobs"]), 30, "a full disk")
        wait_until(lambda: all(row["state"] == "waiting" for row in status(peer)["downloads"]["jobs"]),
                   30, "all to wait")
        sent = source.sent
        time.sleep(7)  # room is looked for twice meanwhile
        assert source.sent == sent
        kept = peer.folder / "kept"
        kept.mkdir()
        there = [name for name in peer.names() if not name.startswith(".")]
        assert there
        for name in there:
            assert (peer.share / name).read_bytes() == files[name]
            shutil.move(peer.share / name, kept / name)
        assert ended(getting, 60)[0] == 0
        for name, data in files.items():
            place = kept / name if name in there else peer.share / name
            assert place.read_bytes() == data, name
    finally:
        net.finish()
        net.running.clear()


# ---- what may go wrong with several by one call ----

def broken_off(parts, _request, context):
    """After the first message."""
    yield next(parts)
    context.abort(grpc.StatusCode.UNAVAILABLE, "se fue")


def silent(parts, _request, context):
    yield next(parts)
    while context.is_active():
        time.sleep(0.05)


def backwards(parts, _request, _context):
    """Files that nobody asked for in that order."""
    for part in parts:
        yield reference.content.FilesPart(files=reversed(part.files))


@pytest.mark.parametrize("spoil", [broken_off, silent, backwards])
def test_a_source_fails_half_way(net, spoil):
    """What came is kept; the rest comes from the other source, or from the same one in the other way."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(100_000, number) for number in range(30)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    source.spoil = spoil
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)
    assert journals(peer) == []


def test_one_has_changed(net):
    """It is refused, and told; the others come."""
    directory = net.directory()
    files = {f"f{number}": reference.random_bytes(5000, number) for number in range(10)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    tell_all(directory, source, files)
    (source.folder / "f3").write_bytes(b"something else")
    (source.folder / "f7").unlink()
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=60)
    assert result.returncode != 0
    assert "f3" in result.stderr and "f7" in result.stderr
    check_all(peer, {name: data for name, data in files.items() if name not in ("f3", "f7")})


def test_all_kinds_of_sources(net):
    """Some send many by one call, some one, and some know no hashes at all."""
    directory = net.directory()
    expected = {}
    for number, kind in enumerate((reference.FilesPeer, reference.ContentPeer,
                                   reference.ReferencePeer)):
        files = {f"{number}-{each}": reference.random_bytes(3000, each) for each in range(20)}
        source = net.reference_peer(kind, files=files)
        if kind is reference.ReferencePeer:
            entries = json.dumps([{"filename": name, "url": [source.address]} for name in files])
            form = urllib.parse.urlencode({"username": "Peer4", "password": PASSWORD,
                                           "files_index": entries})
            assert directory.request("POST", f"/login?{form}").status == 200
        else:
            tell_all(directory, source, files, f"Peer{number + 2}")
        expected.update(files)
    peer = net.peer("Peer1", directory)
    names = sorted(expected, key=lambda name: name[::-1])
    result = peer.command("get", *names, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, expected)


@pytest.mark.long
def test_a_large_one_among_small_ones(net):
    """Neither waits for the other's end."""
    directory = net.directory()
    small = {f"f{number:03}": reference.random_bytes(4096, number) for number in range(200)}
    large = {"f100-large": reference.random_bytes(8 * MIB)}
    source = net.reference_peer(reference.FilesPeer, files={**small, **large})
    source.rate = MIB  # of DownloadFile: eight seconds for the large one
    tell_all(directory, source, {**small, **large})
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, *sorted({**small, **large}))
    wait_until(lambda: len([name for name in peer.names() if not name.startswith(".")]) >= 200, 7,
               "the small ones")
    assert "f100-large" not in peer.names()
    assert ended(getting)[0] == 0
    check_all(peer, {**small, **large})

    slow = {f"s{number:03}": reference.random_bytes(4096, number) for number in range(60)}
    quick = {"s030-large": reference.random_bytes(8 * MIB, 7)}
    other = net.reference_peer(reference.FilesPeer, files={**slow, **quick})
    other.spoil = one_by_one(0.5)  # many seconds for each of three batches
    tell_all(directory, other, {**slow, **quick}, "Peer3")
    getting = start_get(peer, *sorted({**slow, **quick}))
    wait_until(lambda: "s030-large" in peer.names(), 30, "the large one")
    assert len([name for name in peer.names() if name.startswith("s")]) < 40
    other.spoil = lambda parts, request, context: parts
    assert ended(getting)[0] == 0
    check_all(peer, {**small, **large, **slow, **quick})


def test_the_directory_is_away(net):
    """What it has answered before will do; what nobody knows waits for a directory."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(4096, number) for number in range(20)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    for name in files:
        assert peer.command("search", name).returncode == 0
    directory.kill()
    getting = start_get(peer, *files, "never-heard-of")
    wait_until(lambda: set(files) <= set(peer.names()), 60, "what was answered before")
    check_all(peer, files)
    wait_until(lambda: len(status(peer)["downloads"]["jobs"]) == 1, 20, "only one to be left")
    job = status(peer)["downloads"]["jobs"][0]
    assert (job["name"], job["state"]) == ("never-heard-of", "waiting") and "directorio" in job["reason"]
    assert peer.command("downloads", "cancel", str(job["id"])).returncode == 0
    assert ended(getting)[0] != 0


def test_orders_to_single_ones(net):
    """One is cancelled, one paused, and both at once though the batch goes on."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(4096, number) for number in range(12)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    go_on = threading.Event()
    source.spoil = one_by_one(1, go_on)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, *files)
    wait_until(lambda: source.files_calls, 20, "the call")
    rows = {row["name"]: row for row in status(peer)["downloads"]["jobs"]}
    last, other = sorted(files)[-1], sorted(files)[-2]
    assert peer.command("downloads", "cancel", str(rows[last]["id"])).returncode == 0
    assert peer.command("downloads", "pause", str(rows[other]["id"])).returncode == 0
    assert peer.command("downloads", "priority", str(rows["f09"]["id"]), "high").returncode == 0
    states = {row["name"]: row["state"] for row in status(peer)["downloads"]["jobs"]}
    assert last not in states and states[other] == "paused"
    go_on.set()
    there = sorted(set(files) - {last, other})
    wait_until(lambda: peer.names() == there, 30, "the others")
    assert peer.command("downloads", "resume", str(rows[other]["id"])).returncode == 0
    wait_until(lambda: peer.names() == sorted(set(files) - {last}), 30, "the one that was paused")
    assert ended(getting)[0] == 1  # one was cancelled
    check_all(peer, {name: data for name, data in files.items() if name != last})
    assert journals(peer) == []


@pytest.mark.long
def test_a_more_urgent_one(net):
    """All places are taken by batches that take long: one of them makes way, and goes on later."""
    directory = net.directory()
    files = {f"f{number:03}": reference.random_bytes(4096, number) for number in range(80)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    source.spoil = one_by_one(1)  # a quarter of a minute for each of three batches
    tell_all(directory, source, files)
    urgent = {"urgent": reference.random_bytes(5000)}
    quick = net.reference_peer(reference.FilesPeer, files=urgent)
    tell_all(directory, quick, urgent, "Peer3")
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, *files)
    wait_until(lambda: len(source.files_calls) >= 3, 20, "three calls")
    result = peer.command("get", "urgent", "--priority", "high", timeout=60)
    assert result.returncode == 0, result.stderr
    assert len(peer.names()) < 60
    source.spoil = lambda parts, request, context: parts
    assert ended(getting, 90)[0] == 0
    check_all(peer, {**files, **urgent})


def test_all_are_cancelled(net):
    """A batch that nobody wants any more ends at once, and leaves nothing."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(4096, number) for number in range(40)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    done = threading.Event()
    source.spoil = one_by_one(60, done)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, *files)
    wait_until(lambda: source.files_calls, 20, "the call")
    assert peer.command("downloads", "cancel", "all").returncode == 0
    assert ended(getting)[0] == 1
    wait_until(lambda: journals(peer) == [], 20, "the line to be empty")
    done.set()
    assert len(peer.names()) < 10 and not [name for name in peer.names() if name.startswith(".")]


def test_a_stop_while_the_limit_is_paid(net):
    """All files are there, but at the limit their bytes take minutes; nobody waits for those."""
    directory = net.directory()
    files = {f"{number:02}.bin": reference.random_bytes(20000, seed=number) for number in range(16)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory, download_limit=1024)
    assert peer.command("get", *sorted(files)[:8]).returncode == 0  # the limit lets it pass at once
    assert peer.command("get", *sorted(files)[8:]).returncode == 0
    peer.terminate()
    check_all(peer, files)
