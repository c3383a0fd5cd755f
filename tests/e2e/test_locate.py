"""Files are found while directories are away: the other directories, what was seen before, friends."""

import concurrent.futures
import json
import os
import socket
import subprocess
import threading
import time

import grpc
import pytest

import harness
import reference
from harness import wait_until
from stubs import content as wire


def of_all(*directories):
    """Settings of a peer that has all these directories."""
    return {"api_url": [f"{d.url}/login" for d in directories],
            "api_search_url": [f"{d.url}/buscar_archivos" for d in directories],
            "auth_enabled": True}


def search(peer, name):
    result = peer.command("search", name, "--json")
    return json.loads(result.stdout) if result.stdout else None


# ---- several directories ----

def test_a_peer_is_listed_at_all_its_directories(net):
    first, second = net.directory(), net.directory()
    peer = net.peer("Peer2", files={"a": "x"}, **of_all(first, second))
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a"])
        assert directory.sources("a") == {"Peer2": [peer.address]}
    reference.write_file(peer.share / "b", b"y")
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a", "b"])


def test_one_of_two_directories_dies(net):
    first, second = net.directory(expiry=6), net.directory(expiry=6)
    net.peer("Peer2", files={"a": "x"}, **of_all(first, second))
    peer = net.peer("Peer1", **of_all(first, second))
    for directory in (first, second):
        directory.wait_for_files("Peer2", ["a"])
        directory.wait_for_peer("Peer1")
    first.kill()
    started = time.monotonic()
    assert peer.command("get", "a").returncode == 0
    assert time.monotonic() - started < 5 * harness.PATIENCE
    assert (peer.share / "a").read_bytes() == b"x"

    def seen():
        status = json.loads(peer.command("status", "--json").stdout)
        return ([d["connected"] for d in status["directories"]] == [False, True]
                and status["directory"]["url"] == f"{second.url}/login")

    wait_until(seen, what="the status to show it")
    second.kill()
    first.start()
    first.wait_for_files("Peer2", ["a"], 12)
    # Who asks has fetched it, and may be listed, too.
    assert "Peer2" in [s["peer"] for s in search(peer, "a")["sources"]]


def test_a_directory_twice_is_warned_of(net):
    directory = net.directory()
    peer = net.peer("Peer1", files={"a": "x"}, **of_all(directory, directory))
    directory.wait_for_files("Peer1", ["a"])
    assert "is there twice" in peer.log


# ---- no directory at all ----

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def without(friend=None, second=None):
    """Settings of a peer without a directory, with friends."""
    return {"api_url": None if friend else f"{NOWHERE}/login",
            "api_search_url": None if friend else f"{NOWHERE}/buscar_archivos",
            "auth_enabled": False,
            "peer_amigo_titular": friend and f"http://{friend}", "peer_amigo_suplente": second}


def test_remembered_sources_when_the_directory_is_killed(net):
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"a": "x", "b": "y"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a", "b"])
    wait_until(lambda: "content" in json.dumps(search(peer, "a"))
               and search(peer, "a")["sources"][0]["content"], what="the content id")
    directory.kill()
    found = search(peer, "a")
    assert [(s["peer"], s["addresses"], s["via"], s["size_bytes"]) for s in found["sources"]] == [
        ("Peer2", [source.address], None, 1)]
    assert found["sources"][0]["age_ms"] < 60000 and found["sources"][0]["content"]
    assert found["note"].startswith("El directorio no responde; según lo recordado hace ")
    result = peer.command("search", "a")
    assert result.returncode == 0 and "El directorio no responde" in result.stderr
    assert "según lo recordado hace" in result.stdout
    result = peer.command("get", "a", "a", "--follow", "--json")
    assert json.loads(result.stdout.splitlines()[-1])["note"].startswith(
        "El directorio no responde; según lo recordado hace ")
    (peer.share / "a").unlink()
    peer.terminate()  # and over a restart of the peer, too
    peer.start()
    result = peer.command("get", "a")
    assert result.returncode == 0, result.stderr
    assert "El directorio no responde; según lo recordado hace" in result.stderr
    assert (peer.share / "a").read_bytes() == b"x"
    # What was never asked for: a peer that was met knows.
    result = peer.command("get", "b", "--json")
    assert result.returncode == 0, result.stdout
    assert json.loads(result.stdout)["note"].startswith(
        f"El directorio no responde; según {source.address} hace")
    missing = peer.command("get", "nada")
    assert missing.returncode == 4 and "No se puede conectar con el directorio" in missing.stderr


def test_two_hops_without_a_directory(net):
    third = net.peer("Peer3", files={"far.bin": reference.random_bytes(3000000)}, **without())
    friend = net.peer("Peer2", **without(third.address))
    fresh = net.peer("Peer1", **without(friend.address))
    found = search(fresh, "far.bin")
    assert [(s["peer"], s["addresses"], s["via"]) for s in found["sources"]] == [
        ("Peer3", [third.address], friend.address)]
    result = fresh.command("get", "far.bin")
    assert result.returncode == 0, result.stderr
    assert f"El directorio no responde; según {friend.address} hace" in result.stderr
    assert (fresh.share / "far.bin").read_bytes() == (third.share / "far.bin").read_bytes()
    assert "ninguno" in fresh.command("status").stdout


def test_hops_end(net):
    """Three hops reach the fourth peer of a chain, not the fifth."""
    peers = [net.peer("Peer5", files={"fifth": "5"}, **without())]
    for number in range(4, 0, -1):
        peers.insert(0, net.peer(f"Peer{number}", files={f"nr{number}": "x"},
                                 **without(peers[0].address)))
    assert peers[0].command("get", "nr4").returncode == 0
    assert peers[0].command("search", "fifth").returncode == 4
    assert peers[1].command("search", "fifth").returncode == 0


def test_a_ring_of_friends_ends(net):
    ports = [harness.free_port() for _ in range(4)]
    peers = []
    for number, port in enumerate(ports):
        friends = without(f"127.0.0.1:{ports[(number + 1) % 4]}", f"127.0.0.1:{ports[(number + 2) % 4]}")
        peers.append(net.peer(f"Peer{number}", port=port, files={f"nr{number}": "x"}, **friends))
    started = time.monotonic()
    for peer in peers:
        assert peer.command("search", "nada").returncode == 4
    assert time.monotonic() - started < 8 * harness.PATIENCE
    for number in range(1, 4):
        assert [s["peer"] for s in search(peers[0], f"nr{number}")["sources"]] == [f"Peer{number}"]


def test_a_friend_of_the_reference(net):
    """It does not know Locate: its list is looked through."""
    friend = net.reference_peer(files={"a.txt": "hola"})
    peer = net.peer("Peer1", **without(friend.address))
    assert [(s["peer"], s["addresses"], s["size_bytes"]) for s in search(peer, "a.txt")["sources"]] \
        == [(friend.address, [friend.address], 4)]
    result = peer.command("get", "a.txt")
    assert result.returncode == 0, result.stderr
    assert (peer.share / "a.txt").read_bytes() == b"hola"
    # And at one more hop.
    other = net.peer("Peer2", **without(peer.address))
    (peer.share / "a.txt").unlink()
    assert other.command("get", "a.txt").returncode == 0


def test_a_friend_asks_its_directory(net):
    directory = net.directory()
    source = net.peer("Peer3", directory, files={"a": "x"})
    friend = net.peer("Peer2", directory)
    directory.wait_for_files("Peer3", ["a"])
    directory.wait_for_peer("Peer2")
    fresh = net.peer("Peer1", **without(friend.address))
    assert [(s["peer"], s["addresses"]) for s in search(fresh, "a")["sources"]] == [
        ("Peer3", [source.address])]
    assert fresh.command("get", "a").returncode == 0


def test_dead_and_silent_friends_cost_little(net):
    source = net.peer("Peer3", files={"a": "x"}, **without())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_address = f"127.0.0.1:{silent.getsockname()[1]}"
        peer = net.peer("Peer1", **without(silent_address, source.address))
        started = time.monotonic()
        assert peer.command("get", "a").returncode == 0
        assert time.monotonic() - started < 2 * harness.PATIENCE
        started = time.monotonic()
        assert peer.command("search", "nada").returncode == 4
        assert time.monotonic() - started < 8 * harness.PATIENCE
        assert peer.terminate() < harness.STOPS_WITHIN


def test_friends_know_more_than_what_is_remembered(net):
    """The source that is remembered is gone; the friend knows another one."""
    directory = net.directory()
    gone = net.peer("Peer2", directory, files={"a": "x"})
    other = net.peer("Peer4", files={"a": "x"}, **without())
    peer = net.peer("Peer1", directory, peer_amigo_titular=f"http://{other.address}")
    directory.wait_for_files("Peer2", ["a"])
    assert [s["peer"] for s in search(peer, "a")["sources"]] == ["Peer2"]
    directory.kill()
    gone.kill()
    # They come in groups of one content, which of a remembered one may not be known yet.
    assert sorted(s["peer"] for s in search(peer, "a")["sources"]) == ["Peer2", "Peer4"]
    result = peer.command("get", "a")
    assert result.returncode == 0, result.stderr


def test_friends_that_make_no_sense_are_warned_of(net):
    port = harness.free_port()
    peer = net.peer("Peer1", port=port, **without(f"127.0.0.1:{port}"))
    assert "is this peer itself" in peer.log
    peer = net.peer("Peer1", **without("127.0.0.1:9", "http://127.0.0.1:9"))
    assert "both friends are" in peer.log


def test_broken_memory_is_moved_aside(net):
    directory = net.directory()
    net.peer("Peer2", directory, files={"a": "x"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["a"])
    assert search(peer, "a")["sources"]
    peer.terminate()
    state = peer.folder / "state"
    assert "Peer2" in (state / "answers.json").read_text()
    (state / "answers.json").write_bytes(b"{\"version\":1,\x00")
    peer.start()
    assert "answers.json.bad" in peer.log
    assert (state / "answers.json.bad").exists()
    assert search(peer, "a")["sources"]


def test_a_stop_does_not_wait_for_questions(net):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        peer = net.peer("Peer1", **without(address))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = [pool.submit(peer.command, "search", "a"), pool.submit(ask_or_fail, peer, "b")]
            time.sleep(0.5)
            assert peer.terminate() < harness.STOPS_WITHIN
            assert running[0].result().returncode == 4
            running[1].result()


def test_a_peer_enters_through_any_peer(net):
    """It knows one peer, which is no friend of the one that has the file but has met it."""
    directory = net.directory()
    source = net.peer("Peer3", directory, files={"a": "x", "b": "y"})
    middle = net.peer("Peer2", directory)
    directory.wait_for_files("Peer3", ["a", "b"])
    assert search(middle, "a")["sources"]
    directory.kill()
    fresh = net.peer("Peer1", **without(middle.address))
    assert fresh.command("get", "b").returncode == 0
    assert [s["addresses"] for s in search(fresh, "a")["sources"]] == [[source.address]]


def test_a_running_download_does_not_notice(net):
    directory = net.directory(expiry=3)
    source = net.peer("Peer2", directory)
    peer = net.peer("Peer1", directory)
    with (source.share / "big.bin").open("wb") as file:
        for _ in range(harness.amount(300, 100)):
            file.write(os.urandom(1 << 20))
    directory.wait_for_files("Peer2", ["big.bin"])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(peer.command, "get", "big.bin", timeout=60)

        def moves():
            jobs = json.loads(peer.command("status", "--json").stdout)["downloads"]
            return jobs["done"] or any(job["bytes"] for job in jobs["jobs"])

        wait_until(moves, what="the first bytes")
        directory.kill()
        result = running.result()
    assert result.returncode == 0, result.stderr
    assert (peer.share / "big.bin").read_bytes() == (source.share / "big.bin").read_bytes()


def test_the_menu_says_who_knows(net):
    source = net.peer("Peer2", files={"a": "x"}, **without())
    peer = net.peer("Peer1", **without(source.address))
    result = peer.command("menu", stdin="1\na\n1\n0\n")
    lines = result.stdout.splitlines()
    at = lines.index("Archivo encontrado: a")
    assert lines[at - 1].startswith(f"El directorio no responde; según {source.address} hace ")
    assert lines[at + 2] == f"1. Peer: Peer2 - Dirección gRPC: {source.address}"


# ---- hostile peers ----

class Liar(reference.ReferencePeer):
    """Answers Locate with what it is told to, and remembers what it was asked."""

    answer = b""
    delay = 0

    def stop(self):
        self.release.set()
        super().stop()

    def register(self):
        self.asked = []
        self.release = threading.Event()
        rows = {
            "Locate": grpc.unary_unary_rpc_method_handler(self.locate, wire.LocateRequest.FromString),
            "DownloadFile": grpc.unary_stream_rpc_method_handler(
                lambda request, context: iter([wire.Chunk(data=b"lie").SerializeToString()]),
                wire.DownloadRequest.FromString)}
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("peer.PeerService", rows)])

    def locate(self, request, context):
        self.asked.append(request)
        self.release.wait(self.delay)
        return self.answer


def forged(count=1, **more):
    fields = {"peer": b"Peer9", "addresses": ["127.0.0.1:9"], **more}
    return wire.LocateResponse(
        sources=[wire.LocatedSource(**fields) for _ in range(count)]).SerializeToString()


FORGED = {
    "empty": b"", "no message": b"\xff\xff\xff", "control name": forged(peer=b"a\x1b[2Jb"),
    "name not UTF-8": forged(peer=b"\xff"), "long name": forged(peer=b"P" * 200),
    "no port": forged(addresses=["0.0.0.0:0"]),
    "nonsense": forged(addresses=["nonsense", "x" * 1000, "127.0.0.1:99999"]),
    "no addresses": forged(10000, addresses=[]), "too many": forged(100000),
    "empty sources": b"\x0a\x00" * 120000}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_answer_does_no_harm(net, kind):
    liar = net.reference_peer(Liar)
    liar.answer = FORGED[kind]
    honest = net.peer("Peer3", files={"a": "x"}, **without())
    peer = net.peer("Peer1", **without(liar.address, honest.address))
    before = peer.status_value("VmHWM")
    found = search(peer, "a")
    assert [s["addresses"] for s in found["sources"]] == [[honest.address]]
    assert peer.command("get", "a").returncode == 0
    assert peer.status_value("VmHWM") - before < 40 * 1024 * harness.PATIENCE
    assert "\x1b" not in peer.command("search", "a").stdout


def test_a_liar_cannot_send_us_to_thousands_of_places(net):
    liar = net.reference_peer(Liar)
    liar.answer = wire.LocateResponse(sources=[
        wire.LocatedSource(peer=b"P%d" % n, addresses=[f"127.0.0.1:{10000 + 3 * n + k}"
                                                      for k in range(3)])
        for n in range(2000)]).SerializeToString()
    peer = net.peer("Peer1", **without(liar.address))
    found = search(peer, "a")["sources"]
    assert len(found) == 64
    assert all(len(s["addresses"]) == 2 and s["via"] == liar.address for s in found)
    question = liar.asked[0]
    assert (question.filename, question.hops, len(question.question_id)) == ("a", 2, 16)
    assert 0 < question.wait_ms <= 3000
    assert not (peer.folder / "state" / "answers.json").exists() or \
        "127.0.0.1:10000" not in (peer.folder / "state" / "answers.json").read_text()


def ask(peer, name, question_id=None, hops=2, wait_ms=2000, timeout=10):
    with grpc.insecure_channel(peer.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary("/peer.PeerService/Locate",
                                   wire.LocateRequest.SerializeToString,
                                   wire.LocateResponse.FromString)
        return call(wire.LocateRequest(filename=name, question_id=question_id or os.urandom(16),
                                       hops=hops, wait_ms=wait_ms), timeout=timeout).sources


def ask_or_fail(peer, name):
    try:
        return ask(peer, name)
    except grpc.RpcError:
        return None


def test_locate_answers_and_refuses(net):
    peer = net.peer("Peer1", files={"a": "abc", ".hidden": "x"}, **without())

    def hashed():
        sources = ask(peer, "a")
        return [(s.peer, list(s.addresses), s.has_size, s.size_bytes, len(s.content_id), s.age_ms)
                for s in sources] == [(b"Peer1", [peer.address], True, 3, 32, 0)]

    wait_until(hashed, what="the id")
    assert not ask(peer, "nada") and not ask(peer, ".hidden")
    again = os.urandom(16)
    assert ask(peer, "a", again) and not ask(peer, "a", again)
    for name, question_id in (("../a", None), ("", None), ("a", b"short"), ("a", b"x" * 17)):
        with pytest.raises(grpc.RpcError) as refused:
            ask(peer, name, question_id)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_question_is_passed_on_with_one_hop_less_and_less_time(net):
    liar = net.reference_peer(Liar)
    peer = net.peer("Peer1", **without(liar.address))
    question_id = os.urandom(16)
    assert not ask(peer, "a", question_id, hops=1000, wait_ms=2000)
    passed = liar.asked[0]
    assert (passed.filename, passed.hops, passed.question_id) == ("a", 1, question_id)
    assert passed.wait_ms < 2000
    assert not ask(peer, "b", hops=0)
    assert not ask(peer, "c", wait_ms=100)
    assert not ask(peer, "a", question_id)
    assert len(liar.asked) == 1


def test_a_slow_friend_of_a_friend_ends_in_time(net):
    liar = net.reference_peer(Liar)
    liar.delay = 10 * harness.PATIENCE
    peer = net.peer("Peer1", **without(liar.address))
    started = time.monotonic()
    assert not ask(peer, "a", wait_ms=1500)
    assert time.monotonic() - started < 6 * harness.PATIENCE


def test_too_many_questions_are_refused(net):
    liar = net.reference_peer(Liar)
    peer = net.peer("Peer1", **without(liar.address))
    with grpc.insecure_channel(peer.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary("/peer.PeerService/Locate",
                                   wire.LocateRequest.SerializeToString)
        # All at once, so that not a second passes in which more may be asked.
        calls = [call.future(wire.LocateRequest(filename="nada", question_id=os.urandom(16), hops=2,
                                                wait_ms=1000), timeout=60) for _ in range(120)]
        codes = [one.code() for one in calls]
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert codes.count(grpc.StatusCode.UNAVAILABLE) > 20
    assert len(liar.asked) < 100
    with peer.client() as client:
        assert client.list_files() == {}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_download_waits_for_a_directory_that_is_away(net, restarts):
    """Nobody else knows the file: the reason shows, and it goes on by itself."""
    directory = net.directory()
    peer = net.peer("Peer1", directory)
    directory.wait_for_peer("Peer1")
    directory.terminate()
    getting = subprocess.Popen([harness.PEER_PROGRAM, "get", "--config", peer.config_path, "late.bin", "later.bin"],
                               env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        def waiting():
            jobs = json.loads(peer.command("status", "--json").stdout)["downloads"]["jobs"]
            return len(jobs) == 2 and all(
                job["state"] == "waiting" and "directorio" in job["reason"] for job in jobs)
        harness.wait_until(waiting, 20, "both to wait")
        if restarts:
            peer.kill()
            peer.start()
            harness.wait_until(waiting, 20, "both to wait again")
        directory.start()
        net.peer("Peer2", directory, files={"late.bin": "late", "later.bin": bytes(3 << 20)})
        harness.wait_until(lambda: {"late.bin", "later.bin"} <= set(peer.names()), 30, "the files")
        if not restarts:
            assert getting.wait(20) == 0
    finally:
        getting.kill()
        getting.communicate()
