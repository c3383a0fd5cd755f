"""DownloadFiles: several small files by one call, to a client that is not ours; what it may not do, and
the limits that hold for it as for single files."""

import contextlib
import json
import threading
import time

import grpc
import pytest

import reference
from harness import wait_until
from reference import id_of
from stubs import content as wire
from test_content_peer import Client, refusal
from test_limits import Relay, check_rate
from test_peer_rot import let_rot, rotten
from test_small_files import check_all, make_files, tell_all

KIB = 1024
MIB = 1024 * KIB
OK, INVALID, NOT_FOUND, TOO_LARGE, ABORTED, DATA_LOSS = 0, 3, 5, 8, 10, 15
SIZES = [0, 1, 4096, 16384, 16385, 100_000, MIB - 1, MIB, 0, 300_000, 7]


def wanted(name, data, **other):
    fields = {"filename": name.encode(), "content_id": id_of(data), "size_bytes": len(data)}
    return wire.WantedFile(**{**fields, **other})


def method(channel):
    return channel.unary_stream("/peer.PeerService/DownloadFiles", wire.FilesRequest.SerializeToString,
                                wire.FilesPart.FromString)


@contextlib.contextmanager
def connected(address):
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield method(channel)


def ask(address, files, places=False, timeout=60):
    """What comes for each file: its code, and its bytes or the reason. And the places told."""
    answers, places_told, size = [], [], 0
    with connected(address) as call:
        for part in call(wire.FilesRequest(files=files, accepts_queue_position=places), timeout=timeout):
            size = max(size, part.ByteSize())
            if part.queue_position:
                assert not part.files
                places_told.append(part.queue_position)
                continue
            assert part.files
            for file in part.files:
                if answers and file.index == len(answers) - 1:  # more of the last one
                    assert answers[-1][0] == OK and answers[-1][1] and (file.data or file.code)
                    answers[-1] = (OK, answers[-1][1] + file.data)
                else:
                    assert file.index == len(answers)
                    answers.append((OK, file.data))
                if file.code:
                    assert file.reason and not file.data
                    answers[-1] = (file.code, file.reason)
    assert size < 2 * MIB
    return answers, places_told


def codes(address, files):
    return [code for code, _ in ask(address, files)[0]]


@pytest.fixture
def world(net):
    files = {f"f{number}": reference.random_bytes(size, number) for number, size in enumerate(SIZES)}
    files["large"] = reference.random_bytes(MIB + 1)
    peer = net.peer(files=files)
    (peer.share / "sub").mkdir()
    files["sub/inner"] = b"inner"
    (peer.share / "sub" / "inner").write_bytes(b"inner")
    with Client(peer) as client:
        for name, data in files.items():
            if "/" not in name:
                client.wait_id(name, data)
    wait_until(lambda: codes(peer.address, [wanted("sub/inner", b"inner")]) == [OK], 10, "the inner file")
    yield peer, files


def test_files_come_in_the_order_asked_for(world):
    peer, files = world
    small = [(name, data) for name, data in files.items() if name != "large"]
    for order in (small, small[::-1], small * 9, [small[7]] * 20):
        answers, _ = ask(peer.address, [wanted(name, data) for name, data in order])
        assert answers == [(OK, data) for _, data in order]


def test_each_file_has_its_own_answer(world):
    peer, files = world
    one = files["f2"]
    rows = [
        (wanted("f2", one), OK),
        (wanted("missing", one), NOT_FOUND),
        (wanted("../f2", one), INVALID),
        (wanted("/etc/passwd", one), INVALID),
        (wanted("", one), INVALID),
        (wanted("f2", one, filename=b"f\0"), INVALID),
        (wanted("f2", one, filename=b"\xff\xfe"), INVALID),
        (wanted("f2", one, filename=b"n" * 5000), INVALID),
        (wanted("sub", one), NOT_FOUND),
        (wanted(".hidden", one), NOT_FOUND),
        (wanted("f2", one, content_id=b""), INVALID),
        (wanted("f2", one, content_id=bytes(31)), INVALID),
        (wanted("f2", one, content_id=bytes(32)), ABORTED),
        (wanted("f2", one, size_bytes=4095), ABORTED),
        (wanted("f2", one, size_bytes=-1), ABORTED),
        (wanted("f3", one), ABORTED),
        (wanted("large", files["large"]), TOO_LARGE),
        (wanted("sub/inner", b"inner"), OK),
        (wanted("f0", b""), OK),
        (wanted("f7", files["f7"]), OK),
    ]
    assert codes(peer.address, [file for file, _ in rows]) == [code for _, code in rows]


def test_too_much_is_refused(world):
    peer, files = world
    one = wanted("f2", files["f2"])
    for count in (0, 257, 10_000):
        assert refusal(lambda: ask(peer.address, [one] * count)) == grpc.StatusCode.INVALID_ARGUMENT
    nameless = [wire.WantedFile()] * 100_000
    assert refusal(lambda: ask(peer.address, nameless)) == grpc.StatusCode.INVALID_ARGUMENT
    assert codes(peer.address, [one] * 256) == [OK] * 256
    assert codes(peer.address, [wire.WantedFile()] * 256) == [INVALID] * 256


def test_a_file_that_changes_and_one_that_rots(net):
    files = {"a": reference.random_bytes(5000), "b": reference.random_bytes(MIB, 2),
             "c": reference.random_bytes(3000, 3)}
    peer = net.peer(files={**files, "b": rotten(files["b"], [0])})
    let_rot(peer, "b", files["b"])
    assert peer.command("verify", "b").returncode == 1
    with Client(peer) as client:
        client.wait_id("c", files["c"])
        asked = [wanted(name, data) for name, data in files.items()]
        assert codes(peer.address, asked) == [OK, DATA_LOSS, OK]
        (peer.share / "a").write_bytes(files["a"][::-1])
        client.wait_id("a", files["a"][::-1])
    assert codes(peer.address, asked) == [ABORTED, DATA_LOSS, OK]
    (peer.share / "c").unlink()
    assert codes(peer.address, asked) == [ABORTED, DATA_LOSS, NOT_FOUND]


# ---- limits ----

def many(net, count=256, size=4096, **settings):
    files = {f"f{number:03}": reference.random_bytes(size, number) for number in range(count)}
    peer = net.peer(files=files, **settings)
    with Client(peer) as client:
        wait_until(lambda: all(f.content_id for f in client.list().values()), 20, "all ids")
    return peer, files, [wanted(name, data) for name, data in files.items()]


def test_the_upload_limit_holds(net):
    peer, files, asked = many(net, size=10_000, upload_limit=512 * KIB)
    begin = time.monotonic()
    answers, _ = ask(peer.address, asked)
    assert answers == [(OK, data) for data in files.values()]
    check_rate(10_000 * len(files), time.monotonic() - begin, 512 * KIB)


def test_many_calls_get_no_more_than_one(net):
    """Two addresses, six calls and one: half of the rate each."""
    peer, _, asked = many(net, size=40_000, upload_limit=512 * KIB)
    got = [0] * 7
    stop = threading.Event()

    def read(number, address):
        with connected(address) as call, contextlib.suppress(grpc.RpcError):
            for part in call(wire.FilesRequest(files=asked), timeout=120):
                got[number] += sum(len(file.data) for file in part.files)
                if stop.is_set():
                    return

    with Relay(peer, "127.0.0.2") as relay:
        addresses = [peer.address] * 6 + [relay.address]
        threads = [threading.Thread(target=read, args=row, daemon=True)
                   for row in enumerate(addresses)]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(got), 30, "all to get something")
        before = list(got)
        wait_until(lambda: sum(got) >= sum(before) + 3 * MIB, 60, "six seconds' worth")
        *together, alone = (now - then for now, then in zip(list(got), before))
        stop.set()
        for thread in threads:
            thread.join(30)
    assert 1 / 2 < alone / sum(together) < 2, (before, got)


def test_who_waits_learns_its_place(net):
    peer, files, asked = many(net, count=40, size=40_000, upload_limit=64 * KIB)
    results = [None] * 20

    def read(number):
        results[number] = ask(peer.address, asked, places=number > 0, timeout=120)

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(20)]
    for thread in threads:
        thread.start()
    wait_until(lambda: json.loads(peer.command("status", "--json").stdout)["uploads_waiting"] > 15,
               30, "a line")
    time.sleep(8)
    peer.command("limit", "--upload", "none")
    for thread in threads:
        thread.join(60)
    for number, (answers, places) in enumerate(results):
        assert answers == [(OK, data) for data in files.values()]
        assert all(1 <= place <= 20 for place in places)
        assert bool(places) == (number > 0)


def test_one_slot_serves_all(net):
    peer, files, asked = many(net, upload_slots=1)
    results = [None] * 12

    def read(number):
        results[number] = ask(peer.address, asked)[0]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [[(OK, data) for data in files.values()]] * 12


@pytest.mark.plain
def test_receivers_that_do_not_read(net):
    """They cost bounded memory and nobody's turn; a host has a number of such calls."""
    peer, files, asked = many(net, count=40, size=MIB)
    large = asked * 6
    with contextlib.ExitStack() as held:
        calls = [held.enter_context(connected(peer.address))(wire.FilesRequest(files=large))
                 for _ in range(40)]
        wait_until(lambda: json.loads(peer.command("status", "--json").stdout)["uploads_running"] == 32,
                   30, "32 calls that stand still")
        with pytest.raises(grpc.RpcError) as refused:
            ask(peer.address, asked)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details().startswith("Demasiadas peticiones")
        with Relay(peer, "127.0.0.2") as relay:
            assert ask(relay.address, asked)[0] == [(OK, data) for data in files.values()]
        with Client(peer) as client:  # one by one goes on
            assert client.download("f000")[0] == files["f000"]
        assert peer.status_value("VmHWM") < 150 * KIB
        for call in calls:
            call.cancel()
    wait_until(lambda: json.loads(peer.command("status", "--json").stdout)["uploads_running"] == 0,
               10, "the calls to end")
    assert codes(peer.address, asked) == [OK] * len(asked)


# ---- senders that lie ----

def changed(parts, change):
    """The same messages, after `change` had them as lists of files."""
    for part in parts:
        yield wire.FilesPart(files=change(list(part.files)))


def one(**fields):
    return wire.FilesPart(files=[wire.ArrivedFile(**fields)])


def endless(part, pause=0.0):
    while True:
        yield part
        time.sleep(pause)


def then(parts, more):
    yield from parts
    yield from more


def silent(_parts, _request, context):
    yield one(data=b"half")
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(60)


def renumber(files, number):
    for file in files:
        file.index = number(file.index)
    return files


def spoil(files):
    for file in files:
        file.data = file.data[::-1]
    return files


LIES = {
    "other bytes": lambda parts, *_: changed(parts, spoil),
    "another order": lambda parts, *_: changed(parts, lambda files: files[::-1]),
    "an index twice": lambda parts, *_: changed(parts, lambda files: files[:5] + files[4:]),
    "an index left out": lambda parts, *_: changed(parts, lambda files: files[:5] + files[6:]),
    "an index of none": lambda parts, *_: changed(
        parts, lambda files: renumber(files, lambda index: index + 1000)),
    "more than asked": lambda parts, *_: then(changed(parts, lambda files: files[:3]),
                                              [one(index=3, data=bytes(5001))]),
    "less than asked": lambda parts, *_: changed(parts, lambda files: files[:7]),
    "nothing": lambda *_: [],
    "empty messages": lambda *_: endless(wire.FilesPart()),
    "the same for ever": lambda *_: endless(one(data=b"x")),
    "a message over 2 MiB": lambda *_: [one(data=bytes(5 * MIB // 2))],
    "a message over 4 MiB": lambda *_: [one(data=bytes(5 * MIB))],
    "too many files": lambda *_: [wire.FilesPart(files=[wire.ArrivedFile()] * 100_000)],
    "a line": lambda *_: endless(wire.FilesPart(queue_position=9), 0.5),
    "silence": silent,
    "refusals": lambda parts, *_: [wire.FilesPart(files=[
        wire.ArrivedFile(index=index, code=5, reason="\x1b]0;no\x07") for index in range(20)])],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sender_that_lies(net, lie):
    """Nothing false is stored; what did not come so comes file by file."""
    directory = net.directory()
    files = {f"f{number:02}": reference.random_bytes(5000, number) for number in range(20)}
    source = net.reference_peer(reference.FilesPeer, files=files)
    source.spoil = LIES[lie]
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)
    assert source.files_calls and "\x1b" not in result.stdout + result.stderr


def test_a_sender_that_tells_the_truth(net):
    directory = net.directory()
    files = make_files(600)
    source = net.reference_peer(reference.FilesPeer, files=files)
    tell_all(directory, source, files)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", *files, timeout=120)
    assert result.returncode == 0, result.stderr
    check_all(peer, files)
    assert len(source.calls) < 10, source.calls
