"""What the user sees of downloads: the list, orders, bars, wild cards, explain, lines of JSON."""

import json
import re
import subprocess
import threading

import pexpect
import pytest

import harness
import reference
from harness import wait_until

MIB = 1024 * 1024
DONE, FAILED, USAGE, NOT_FOUND, UNREACHABLE, TIMEOUT = range(6)
INTERRUPTED = 130
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


def lines(result):
    """The JSON on stdout: a document a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def jobs(peer):
    return lines(peer.command("downloads", "--json"))


def job(peer, name):
    return next((row for row in jobs(peer) if row["name"] == name), None)


def wait_state(peer, name, *states):
    wait_until(lambda: (job(peer, name) or {}).get("state") in states, 20, f"{name} {states}")


@pytest.fixture
def pair(net):
    """Peer1 whose commands are run, and Peer2 with files, in one network."""
    directory = net.directory()
    files = {"a.iso": b"a" * 1000, "b.iso": b"b" * 2000, "c.txt": b"c", "[x] ñ?.iso": b"d"}
    other = net.peer("Peer2", directory, files=files)
    peer = net.peer("Peer1", directory, files={"mine.iso": "12345"})
    directory.wait_for_files("Peer2", sorted(files))
    directory.wait_for_files("Peer1", ["mine.iso"])
    return directory, peer, other


@pytest.fixture
def slow(net):
    """Likewise, but Peer2 takes a minute for its files."""
    directory = net.directory()
    files = {f"{name}.iso": reference.random_bytes(3 * MIB) for name in "ab"}
    other = net.peer("Peer2", directory, files=files, upload_limit=100000)
    peer = net.peer("Peer1", directory)
    for name in files:  # hashed at idle priority; only then it goes in pieces
        wait_until(lambda: '"content":"' in peer.command("search", name, "--json").stdout, 60, name)
    return peer, other


@pytest.fixture
def crowd(net):
    """More files than are fetched at once, each of some pieces: so many that none is whole before
    a test that is held up for seconds has slowed them down."""
    directory = net.directory()
    files = {f"{name}.iso": reference.random_bytes(6 * MIB, seed=ord(name)) for name in "abcdef"}
    other = net.peer("Peer2", directory, files=files, upload_limit=1500000)
    peer = net.peer("Peer1", directory)
    for name in files:
        wait_until(lambda: '"content":"' in peer.command("search", name, "--json").stdout, 60, name)
    return directory, peer, other


class Terminal:
    """A command under pexpect."""

    def __init__(self, peer, *arguments, term="xterm", columns=80, rows=24):
        self.child = pexpect.spawn(
            str(harness.PEER_PROGRAM), [*arguments, "--config", str(peer.config_path)],
            env=harness.environment(TERM=term), encoding="utf-8", codec_errors="replace",
            timeout=20 * harness.PATIENCE, dimensions=(rows, columns))
        self.raw = ""

    def expect(self, pattern):
        self.child.expect(pattern)
        self.raw += self.child.before + self.child.after

    def end(self):
        self.child.expect(pexpect.EOF)
        self.raw += self.child.before
        self.child.close()
        return self.child.exitstatus

    def rows(self):
        """Every line as it was drawn."""
        return re.split(r"[\r\n]+", ESCAPES.sub("", self.raw))


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.child.close(force=True)


# ---- get ----

def test_get_several(pair):
    _, peer, _ = pair
    result = peer.command("get", "a.iso", "c.txt", "a.iso")
    assert (result.returncode, result.stderr) == (DONE, "")
    assert sorted(result.stdout.splitlines()) == sorted(
        f"Archivo descargado: {peer.share}/{name}" for name in ("a.iso", "c.txt"))
    assert peer.names() == ["a.iso", "c.txt", "mine.iso"]


def test_get_several_of_which_one_is_nowhere(pair):
    _, peer, _ = pair
    result = peer.command("get", "a.iso", "nothing", "c.txt")
    assert result.returncode == NOT_FOUND
    assert "nothing: " in result.stderr and "no encontrado" in result.stderr
    assert peer.names() == ["a.iso", "c.txt", "mine.iso"]


def test_get_wild_cards(pair):
    """Others' files of the directory's list; our own are here already."""
    _, peer, _ = pair
    assert peer.command("get", "*.iso").returncode == DONE
    assert peer.names() == ["[x] ñ?.iso", "a.iso", "b.iso", "mine.iso"]


@pytest.mark.parametrize("pattern,names", [
    ("?.iso", ["a.iso", "b.iso"]), ("[x]*", ["[x] ñ?.iso"]), (r"*ñ\?*", ["[x] ñ?.iso"]),
    ("[x] ñ?.iso", ["[x] ñ?.iso"])])
def test_wild_cards(pair, pattern, names):
    _, peer, _ = pair
    assert peer.command("get", pattern).returncode == DONE
    assert peer.names() == names + ["mine.iso"]


def test_wild_cards_that_match_nothing(pair):
    _, peer, _ = pair
    result = peer.command("get", "*.zip", "--json")
    assert result.returncode == NOT_FOUND
    assert "*.zip" in result.stderr
    assert lines(result)[-1]["error"]["code"] == "not found"


def test_wild_cards_of_one_peer(net, pair):
    _, peer, other = pair
    assert peer.command("get", "?.iso", "--from", "Peer2").returncode == DONE
    assert peer.command("get", "*.txt", "--from", other.address).returncode == DONE
    assert peer.command("get", "*.txt", "--from", "Peer3").returncode == NOT_FOUND
    assert peer.names() == ["a.iso", "b.iso", "c.txt", "mine.iso"]
    plain = net.reference_peer(files={"x.bin": "x", "y.bin": "y", "z.txt": "z"})
    assert peer.command("get", "*.bin", "--from", plain.address).returncode == DONE
    assert {"x.bin", "y.bin"} <= set(peer.names()) and "z.txt" not in peer.names()


def test_wild_cards_in_the_reference_network(net):
    """Its list has no pages."""
    directory = net.reference_directory()
    source = net.reference_peer(files={"a.txt": "1", "b.txt": "2"})
    source.log_in(directory.url, "Peer2")
    peer = net.peer("Peer1", directory, grpc_urls=[source.address])
    assert peer.command("get", "*.txt").returncode == DONE
    assert peer.names() == ["a.txt", "b.txt"]


def test_wild_cards_over_many_pages(net):
    directory = net.directory()
    names = [f"{number}.dat" for number in range(20001)] + ["z-last.iso"]
    entries = [{"filename": name, "url": ["127.0.0.1:9"]} for name in names]
    body = {"username": "Peer2", "password": harness.PASSWORD, "files_index": entries}
    reply = directory.request("POST", "/login", body=json.dumps(body).encode(),
                              headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply
    peer = net.peer("Peer1", directory)
    assert "z-last.iso" in peer.command("get", "*.iso").stderr  # found, though nobody answers
    result = peer.command("get", "*.dat")
    assert result.returncode == FAILED
    assert "Más de 20000 archivos" in result.stderr


def test_wild_cards_leave_out_who_is_away(net):
    directory = net.directory(expiry=2)
    gone = net.peer("Peer3", directory, files={"c.txt": "3"})
    net.peer("Peer2", directory, files={"a.txt": "1", "b.txt": "2"})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer3", ["c.txt"])
    directory.wait_for_files("Peer2", ["a.txt", "b.txt"])
    gone.kill()
    wait_until(lambda: "Peer3" not in directory.peers(), 20, "it to expire")
    result = peer.command("get", "*.txt")
    assert (result.returncode, result.stderr) == (DONE, "")
    assert peer.names() == ["a.txt", "b.txt"]


def test_wild_cards_without_a_directory(net):
    peer = net.peer("Peer1", f"http://127.0.0.1:{harness.free_port()}")
    assert peer.command("get", "*").returncode == UNREACHABLE


def test_get_json_lines(slow):
    """Progress, then for each file the object that one alone has."""
    peer, other = slow
    told = []
    with subprocess.Popen(
            [str(harness.PEER_PROGRAM), "get", "*.iso", "--json", "--config", str(peer.config_path)],
            env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as getting:
        for line in getting.stdout:
            told.append(json.loads(line))
            if told[-1].get("bytes_per_second") and told[-1]["sources"] == 1:
                other.command("limit", "--upload", "none")  # seen
        assert (getting.wait(), getting.stderr.read()) == (DONE, "")
    finals = [row for row in told if "path" in row]
    assert sorted(row["name"] for row in finals) == ["a.iso", "b.iso"]
    assert all(set(row) == {"name", "path", "bytes", "source"} for row in finals)
    progress = [row for row in told if row.get("state") == "running"]
    assert any(row["bytes_per_second"] > 0 and row["sources"] == 1 for row in progress)


def test_get_json_of_one(pair):
    _, peer, _ = pair
    assert len(lines(peer.command("get", "a.iso", "--json"))) == 1
    told = lines(peer.command("get", "b.iso", "--json", "--follow"))
    assert set(told[-1]) == {"name", "path", "bytes", "source"}


@pytest.mark.parametrize("arguments", [
    ["a.iso"], ["*.iso"]], ids=["one", "several"])
def test_interrupted_get_leaves_the_downloads(slow, terminal, arguments):
    peer, _ = slow
    getting = terminal(peer, "get", *arguments)
    getting.expect(r"a\.iso +\d+ %")
    getting.child.sendintr()
    getting.expect("sigue")
    assert getting.end() == INTERRUPTED
    assert "p2p-peer downloads cancel 1" in getting.raw
    assert job(peer, "a.iso")["state"] == "running"


# ---- get --timeout ----

@pytest.mark.parametrize("names", [["nothing.iso"], ["nothing.iso", "none.txt"]],
                         ids=["one", "several"])
def test_timeout_leaves_the_downloads(pair, names):
    """Nobody knows them, and no directory answers: they would wait for one."""
    directory, peer, _ = pair
    directory.kill()
    result = peer.command("get", *names, "--timeout", "1", "--json")
    assert result.returncode == TIMEOUT
    assert "no llegó nada en 1 s" in result.stderr
    assert "p2p-peer downloads cancel 1" in result.stderr
    assert lines(result)[-1]["error"]["code"] == "timeout"
    wait_until(lambda: {row["state"] for row in jobs(peer)} == {"waiting"}, 20, "them to wait")
    assert [row["name"] for row in jobs(peer)] == names
    assert "Error al descargar: no llegó nada en 1 s; espera: No se puede" in \
        peer.command("get", "nobody.iso", "--timeout", "1").stderr


def test_timeout_is_not_over_while_something_comes(slow):
    peer, other = slow
    seconds = 2 * harness.PATIENCE
    other.command("limit", "--upload", str(3 * MIB // (3 * seconds)))
    assert peer.command("get", "a.iso", "--timeout", str(seconds)).returncode == DONE


def test_timeout_ends_what_goes_elsewhere(slow, terminal, tmp_path):
    """There is nobody for whom the daemon should go on."""
    peer, _ = slow
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    seconds = 3 * harness.PATIENCE
    getting = terminal(peer, "get", "a.iso", "--output", str(folder), "--timeout", str(seconds),
                       columns=200)
    wait_state(peer, "a.iso", "running")
    peer.command("downloads", "pause", "1")
    assert getting.end() == TIMEOUT
    assert f"no llegó nada en {seconds} s; en pausa" in getting.raw
    assert "p2p-peer downloads cancel" not in getting.raw
    assert list(folder.iterdir()) == []
    wait_state(peer, "a.iso", "cancelled")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "99999999999"])
def test_timeout_is_a_number_of_seconds(pair, value):
    _, peer, _ = pair
    result = peer.command("get", "a.iso", "--timeout", value)
    assert result.returncode == USAGE and "--timeout is a number of seconds" in result.stderr


@pytest.mark.parametrize("columns", [20, 40, 132])
def test_bars_fit_the_window(slow, terminal, columns):
    peer, _ = slow
    getting = terminal(peer, "get", "*.iso", columns=columns)
    getting.expect(r"B/s  \d+:\d\d  1 fuente" if columns == 132 else r"b\.iso +\d+ %")
    peer.command("downloads", "pause", "all")
    getting.expect("b.iso.*en pausa" if columns > 20 else "b.iso.*en")
    peer.command("downloads", "cancel", "all")
    assert getting.end() == FAILED
    drawn = [row for row in getting.rows() if "%" in row]
    assert drawn and max(len(row) for row in drawn) < columns


def test_bars_of_many_in_a_low_window(net, terminal):
    directory = net.directory()
    names = [f"{number}.iso" for number in range(9)]
    other = net.peer("Peer2", directory, files={name: b"x" * MIB for name in names},
                     upload_limit=100000)
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", names)
    getting = terminal(peer, "get", "*.iso", rows=6)
    getting.expect("… y 5 más")
    peer.command("downloads", "cancel", "all")
    assert getting.end() == FAILED
    assert other.running()


def test_many_files_on_a_terminal(pair, terminal):
    """Bars for those that move, a line of totals, and no line for each that is done."""
    directory, peer, other = pair
    names = [f"{number:03}.dat" for number in range(300)]
    for name in names:
        reference.write_file(other.share / name, name.encode() * 1000)
    wait_until(lambda: set(names) <= set(directory.files_of("Peer2")), 30, "all to be listed")
    getting = terminal(peer, "get", "*.dat", "nothing", rows=10)
    getting.expect(r"\d+ de 301 archivos")
    assert getting.end() == NOT_FOUND
    assert "Archivos descargados: 300 de 301, 2.0 MiB en 0:" in getting.raw
    assert "nothing: " in getting.raw and "Archivo descargado:" not in getting.raw
    assert not re.search(r"\d\.dat +en cola", getting.raw)
    assert len(peer.names()) == 301
    result = peer.command("get", "*.dat", "--json")
    assert result.returncode == DONE
    assert len([row for row in lines(result) if "path" in row]) == 300


def test_bars_on_a_dumb_terminal(slow, terminal):
    peer, _ = slow
    getting = terminal(peer, "get", "*.iso", term="dumb")
    getting.expect("2 descargas en curso")
    peer.command("downloads", "cancel", "all")
    assert getting.end() == FAILED
    assert "\x1b" not in getting.raw


# ---- downloads ----

def test_no_downloads(peer):
    result = peer.command("downloads")
    assert (result.returncode, result.stdout, result.stderr) == (DONE, "No hay descargas.\n", "")
    assert peer.command("downloads", "--json").stdout == ""
    assert peer.command("downloads", "cancel", "all").returncode == DONE
    for order in (["pause", "7"], ["resume", "7"], ["cancel", "7"], ["priority", "7", "high"]):
        result = peer.command("downloads", *order)
        assert (result.returncode, result.stdout) == (NOT_FOUND, "")
        assert "No existe la descarga 7" in result.stderr
    assert peer.command("explain", "7").returncode == NOT_FOUND


def test_orders(slow, terminal):
    peer, _ = slow
    getting = terminal(peer, "get", "*.iso")
    getting.expect(r"b\.iso +\d+ %")
    shown = peer.command("downloads").stdout.splitlines()
    assert shown[0].split() == ["ID", "ESTADO", "%", "VELOCIDAD", "QUEDA", "FUENTES", "NOMBRE"]
    assert shown[1].split()[:2] == ["1", "descargando"] and shown[1].endswith("  a.iso")
    result = peer.command("downloads", "pause", "1", "99")
    assert (result.returncode, result.stdout) == (NOT_FOUND, "Descarga 1 en pausa\n")
    wait_state(peer, "a.iso", "paused")
    assert job(peer, "b.iso")["state"] == "running"
    assert "en pausa" in peer.command("downloads").stdout
    assert lines(peer.command("downloads", "resume", "all", "--json"))[0] == {
        "id": 1, "order": "resume"}
    wait_state(peer, "a.iso", "running")
    assert peer.command("downloads", "cancel", "2").returncode == DONE
    wait_state(peer, "b.iso", "cancelled")
    again = peer.command("downloads", "cancel", "2", "--json")
    assert again.returncode == FAILED
    assert lines(again)[0]["id"] == 2 and "cancelada" in lines(again)[0]["error"]["text"]
    assert peer.command("downloads", "cancel", "all").returncode == DONE
    assert getting.end() == FAILED
    assert [name for name in peer.names() if not name.startswith(".")] == []


def journals(peer):
    return sorted(entry.name for entry in (peer.folder / "state" / "downloads").iterdir()
                  if entry.suffix == ".journal")


def temporary(peer):
    return [name for name in peer.names() if name.startswith(".")]


def states(peer):
    return [row["state"] for row in jobs(peer)]


def partial(directory, name):
    """Who is told to have a part of the file."""
    reply = directory.get("/buscar_archivos", filename=name, partial="1").json
    return {entry["peer"] for entry in reply["disponible_en"] if entry.get("partial")}


def test_cancelling(crowd, terminal):
    """What runs, waits, and rests: nothing of it stays, here and in the directory."""
    directory, peer, other = crowd
    getting = terminal(peer, "get", "*.iso")
    wait_until(lambda: [row["held_bytes"] > 0 for row in jobs(peer)] == [True] * 4 + [False] * 2, 60,
               "a piece of each that runs")
    other.command("limit", "--upload", "1024")
    wait_until(lambda: states(peer) == ["running"] * 4 + ["queued"] * 2, 20, "four to run")
    for name in ("a.iso", "b.iso", "c.iso"):
        wait_until(lambda: partial(directory, name) == {"Peer1"}, 20, "the part to be listed")
    peer.command("downloads", "pause", "2", "6")
    wait_until(lambda: states(peer)[1::4] == ["paused"] * 2, 20, "two to pause")
    wait_until(lambda: len(temporary(peer)) == 5, 20, "the next one to begin")
    wait_until(lambda: journals(peer) == [f"{number}.journal" for number in range(1, 6)], 20,
               "a journal of each that began")

    result = peer.command("downloads", "cancel", "1", "6", "2", "99")
    assert result.returncode == NOT_FOUND and "No existe la descarga 99" in result.stderr
    assert result.stdout.splitlines() == [f"Descarga {number} cancelada" for number in (1, 6, 2)]
    wait_until(lambda: states(peer).count("cancelled") == 3, 20, "three ends")
    wait_until(lambda: journals(peer) == [f"{number}.journal" for number in (3, 4, 5)], 20,
               "journals to go")
    wait_until(lambda: len(temporary(peer)) == 3, 20, "temporary files to go")
    for name in ("a.iso", "b.iso"):
        wait_until(lambda: partial(directory, name) == set(), 20, "the part to be withdrawn")
    assert partial(directory, "c.iso") == {"Peer1"}

    assert peer.command("downloads", "cancel", "all").returncode == DONE
    assert getting.end() == FAILED
    wait_until(lambda: journals(peer) == [] and temporary(peer) == [], 20, "all to go")
    wait_until(lambda: partial(directory, "c.iso") == set(), 20, "the part to be withdrawn")
    again = peer.command("downloads", "cancel", "5")
    assert (again.returncode, again.stdout) == (FAILED, "")
    assert "La descarga 5 ya está cancelada" in again.stderr
    peer.kill()
    peer.start()
    assert jobs(peer) == []


def test_cancelling_one_that_waits(crowd, terminal):
    _, peer, other = crowd
    other.command("limit", "--upload", "1024")
    getting = terminal(peer, "get", "*.iso")
    wait_until(lambda: states(peer) == ["running"] * 4 + ["queued"] * 2, 20, "four to run")
    assert peer.command("downloads", "cancel", "5").returncode == DONE
    wait_until(lambda: "5.journal" not in journals(peer), 20, "its journal to go")
    assert peer.command("downloads", "cancel", "1").returncode == DONE
    wait_until(lambda: states(peer) == ["cancelled"] + ["running"] * 3 + ["cancelled", "running"], 20,
               "the last one's turn")
    assert peer.command("downloads", "cancel", "all").returncode == DONE
    assert getting.end() == FAILED


def test_priorities(crowd, terminal):
    """Whose turn it is; it is kept, and shown wherever a download is."""
    _, peer, other = crowd
    other.command("limit", "--upload", "1024")
    begun = [terminal(peer, "get", "a.iso", "b.iso", "c.iso", "d.iso")]
    wait_until(lambda: states(peer) == ["running"] * 4, 20, "four to run")
    begun.append(terminal(peer, "get", "e.iso", "--priority", "low"))
    wait_until(lambda: len(jobs(peer)) == 5, 20, "one that waits")
    assert "PRIORIDAD" in peer.command("downloads").stdout
    assert jobs(peer)[4]["priority"] == "low"
    assert "Espera su turno" in peer.command("explain", "5").stdout
    peer.command("downloads", "priority", "5", "normal")
    assert "PRIORIDAD" not in peer.command("downloads").stdout

    result = peer.command("downloads", "priority", "5", "77", "high")
    assert (result.returncode, result.stdout) == (NOT_FOUND, "Descarga 5 con prioridad alta\n")
    wait_until(lambda: states(peer) == ["running"] * 3 + ["queued", "running"], 20, "its turn")
    assert jobs(peer)[4]["priority"] == "high"
    assert ", prioridad alta." in peer.command("explain", "5").stdout
    assert lines(peer.command("explain", "5", "--json"))[0]["priority"] == "high"
    menu = peer.command("menu", stdin="5\n0\n")
    assert re.search(r"- 5\. e\.iso: .*, prioridad alta", menu.stdout)

    assert lines(peer.command("downloads", "priority", "1", "low", "--json")) == [
        {"id": 1, "order": "priority", "priority": "low"}]
    wait_until(lambda: states(peer) == ["queued"] + ["running"] * 4, 20, "it to give its place")
    peer.kill()
    for getting in begun:
        getting.end()
    peer.start()
    assert [row["priority"] for row in jobs(peer)] == ["low"] + ["normal"] * 3 + ["high"]
    wait_until(lambda: states(peer) == ["queued"] + ["running"] * 4, 60, "all but the first to run")
    assert peer.command("downloads", "priority", "all", "normal").returncode == DONE
    assert {row["priority"] for row in jobs(peer)} == {"normal"}
    assert peer.command("downloads", "cancel", "all").returncode == DONE
    wait_until(lambda: set(states(peer)) == {"cancelled"}, 20, "all to end")
    again = peer.command("downloads", "priority", "5", "high")
    assert again.returncode == FAILED and "ya está cancelada" in again.stderr


def test_following(slow, terminal):
    peer, _ = slow
    following = terminal(peer, "downloads", "--follow", "--json")
    bars = terminal(peer, "downloads", "--follow")
    getting = terminal(peer, "get", "a.iso")
    following.expect('"state":"running"')
    bars.expect(r"a\.iso +\d+ %")
    peer.command("downloads", "cancel", "1")
    following.expect('"state":"cancelled"')
    bars.expect("1  a.iso  cancelada")
    assert getting.end() == FAILED
    for one in (following, bars):
        one.child.sendintr()
        one.child.expect(pexpect.EOF)
    assert all(json.loads(line) for line in following.raw.splitlines()[:-1])


def test_a_wait_is_told(slow, terminal):
    peer, other = slow
    other.command("limit", "--upload", "400k")
    getting = terminal(peer, "get", "*.iso", columns=120)
    wait_until(lambda: [row["held_bytes"] > 0 for row in jobs(peer)] == [True, True], 60,
               "pieces of both")
    other.kill()
    getting.expect("a.iso.*espera: ")
    wait_state(peer, "a.iso", "waiting")
    wait_until(lambda: (job(peer, "a.iso")["reason"] or "?") in peer.command("downloads").stdout, 20,
               "the reason")

    def told():
        """It tries again now and then, and runs for that moment."""
        explained = peer.command("explain", "1")
        assert explained.returncode == DONE
        return explained.stdout if "Espera, y sigue sola en cuanto pueda: " in explained.stdout else None

    assert "Último fallo: " in wait_until(told, 20, "the wait to be explained")


@pytest.mark.parametrize("name", ["a.iso", "a*"])
def test_a_wait_is_told_where_there_is_no_terminal(slow, tmp_path, name):
    """A script's log says why nothing comes; once, until something has come."""
    peer, other = slow
    log = tmp_path / "log"
    other.command("limit", "--upload", "400k")
    with open(log, "w") as file, subprocess.Popen(
            [str(harness.PEER_PROGRAM), "get", name, "--config", str(peer.config_path)],
            env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=file) as getting:
        try:
            wait_until(lambda: (job(peer, "a.iso") or {}).get("held_bytes"), 60, "a piece")
            other.kill()
            wait_until(lambda: "a.iso: espera: " in log.read_text(), 60, "the reason")
        finally:
            peer.command("downloads", "cancel", "all")
            getting.wait()
    assert re.fullmatch(r"a\.iso: espera: \w.*", log.read_text().splitlines()[0])


def test_explain(slow, terminal):
    peer, other = slow
    getting = terminal(peer, "get", "a.iso")
    getting.expect(r"\d+ %")
    wait_until(lambda: job(peer, "a.iso")["bytes_per_second"] > 0, 20, "bytes")
    told = peer.command("explain", "1").stdout
    assert told.startswith("Descarga 1: a.iso\nEstado: descargando, ")
    assert f"- Peer2 ({other.address}): envía ahora, a " in told
    assert "Envía una sola fuente: la velocidad es la suya." in told
    (row,) = lines(peer.command("explain", "1", "--json"))
    assert row["source_list"][0]["address"] == other.address
    assert row["source_list"][0]["state"] == "active" and not row["source_list"][0]["liar"]
    assert row["limit"] in told


def test_explain_a_whole_stream(net, terminal):
    """A source without hashes is one, too."""
    class Slow(reference.ReferencePeer):
        def DownloadFile(self, request, context):
            for chunk in super().DownloadFile(request, context):
                yield chunk
                self.gone.wait(0.2)

        def stop(self):
            self.gone.set()
            super().stop()

    Slow.gone = threading.Event()
    source = net.reference_peer(Slow, files={"a.iso": b"a" * 20 * MIB})
    peer = net.peer("Peer1")
    getting = terminal(peer, "get", "a.iso", "--from", source.address, columns=132)
    getting.expect("1 fuente")
    wait_state(peer, "a.iso", "running")
    assert job(peer, "a.iso")["sources"] == 1
    told = peer.command("explain", "1").stdout
    assert f"({source.address}): envía ahora, a " in told or f"{source.address}: envía" in told
    assert "Llega entera de una fuente, que no da los resúmenes" in told
    (row,) = lines(peer.command("explain", "1", "--json"))[0]["source_list"]
    assert row["whole_stream"] and row["address"] == source.address and row["state"] == "active"
    assert peer.command("downloads", "cancel", "1").returncode == DONE
    assert getting.end() == FAILED


def test_explain_a_limit_of_our_own(net, terminal):
    directory = net.directory()
    net.peer("Peer2", directory, files={"a.iso": reference.random_bytes(8 * MIB)})
    peer = net.peer("Peer1", directory, download_limit=300000)
    wait_until(lambda: '"content":"' in peer.command("search", "a.iso", "--json").stdout, 60)
    terminal(peer, "get", "a.iso")
    wait_until(lambda: "Limita el tope de descarga de este peer, 293.0 KiB/s" in
               peer.command("explain", "1").stdout, 20, "the sentence")


@pytest.mark.parametrize("command", [
    ["downloads", "frob"], ["downloads", "pause"], ["downloads", "pause", "x"],
    ["downloads", "cancel", "all", "1"], ["downloads", "priority"], ["downloads", "priority", "1"],
    ["downloads", "priority", "high"], ["downloads", "priority", "1", "urgent"],
    ["downloads", "priority", "x", "high"], ["get", "a", "--priority", "urgent"], ["downloads", "pause", "1", "--follow"],
    ["explain"], ["explain", "x"], ["explain", "0"], ["get", "a", "b", "--output", "x"],
    ["get", "a", "--output", "x", "--follow"]])
def test_wrong_use(peer, command):
    result = peer.command(*command)
    assert (result.returncode, result.stdout) == (USAGE, "")
    assert result.stderr.strip()


@pytest.mark.parametrize("command", [["downloads"], ["downloads", "--follow"], ["explain", "1"],
                                     ["downloads", "pause", "1"], ["get", "a", "b"]])
def test_without_a_daemon(net, command):
    peer = net.peer()
    peer.terminate()
    assert peer.command(*command).returncode == UNREACHABLE
