"""The directory as those see it who watch over it: health, readiness, the service manager."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from harness import BUILD, PATIENCE, environment, wait_until

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000  # waitpid(2): also for a thread


def ready_detail(directory):
    reply = directory.get("/readyz")
    return None if reply.status == 200 else (reply.status, reply.json["detail"])


def test_healthy(directory):
    for path in ("/healthz", "/readyz"):
        reply = directory.get(path)
        assert (reply.status, reply.json) == (200, {"status": "OK"})
        assert directory.request("HEAD", path).status == 200
        assert directory.request("POST", path).status == 405


def test_not_ready_while_the_disk_is_full(net, small_disk):
    directory = net.directory(arguments=["--database", small_disk / "index.db"])
    directory.login("Peer1", files=["before"])
    assert ready_detail(directory) is None
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    # Small writes may find room in the log's file; large ones do not.
    number = 0

    def full():
        nonlocal number
        number += 1
        directory.login("Peer1", files=[f"{number}-{i:0200}" for i in range(100)])
        directory.login("Peer2")
        detail = ready_detail(directory)
        return detail == (503, "No se puede guardar: el disco del directorio está lleno")

    wait_until(full, 20, "the directory to say that it cannot store")
    assert directory.get("/healthz").status == 200
    assert directory.get("/").status == 200
    filler.unlink()
    wait_until(lambda: ready_detail(directory) is None, 10, "it to recover by itself")


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def next(self, timeout):
        self.socket.settimeout(timeout * PATIENCE)
        return self.socket.recv(4096).decode()

    def silent(self, seconds):
        """Whether nothing comes for so long."""
        try:
            self.next(seconds)
            return False
        except TimeoutError:
            return True


@contextlib.contextmanager
def stopped_thread(directory):
    """The thread that started last, an HTTP loop, stands still meanwhile."""
    thread = max(int(task) for task in os.listdir(f"/proc/{directory.pid}/task"))
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if ptrace(PTRACE_ATTACH, thread, None, None):
        pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        assert ptrace(PTRACE_DETACH, thread, None, None) == 0


def notified(net, address, **env):
    name = "@" + address[1:] if address.startswith("\0") else address
    return net.directory(env=environment(NOTIFY_SOCKET=name, **env))


def test_the_manager_is_told(net, tmp_path):
    for address in (str(tmp_path / "notify"), f"\0p2p-test-{os.getpid()}-{time.monotonic_ns()}"):
        manager = Manager(address)
        directory = notified(net, address)
        assert manager.next(10) == "READY=1"
        directory.terminate()
        assert manager.next(10) == "STOPPING=1"


def test_the_watchdog_hears_us_only_while_the_loops_serve(net, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    directory = notified(net, str(tmp_path / "notify"), WATCHDOG_USEC=str(int(6e6 * PATIENCE)))
    assert manager.next(10) == "READY=1"
    for _ in range(2):
        assert manager.next(10) == "WATCHDOG=1"
    directory.signal(signal.SIGHUP)
    assert manager.next(10) == "WATCHDOG=1"
    with stopped_thread(directory):
        wait_until(lambda: manager.silent(3), 15, "the watchdog to hear nothing")
    assert manager.next(10) == "WATCHDOG=1"



def test_a_peer_tells_the_manager_too(net, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    peer = net.peer(env=environment(NOTIFY_SOCKET=str(tmp_path / "notify"),
                                    WATCHDOG_USEC=str(int(2e6 * PATIENCE))))
    assert manager.next(10) == "READY=1"
    for _ in range(3):
        assert manager.next(10) == "WATCHDOG=1"
    peer.terminate()
    wait_until(lambda: manager.next(10) == "STOPPING=1", 10, "the peer to say that it stops")


@pytest.mark.parametrize("name", ["p2p-directory", "p2p-peer"])
def test_units_are_good(name, tmp_path):
    """systemd takes them, and finds them well shut off."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / f"{name}.service"
    made = (BUILD / "docker" / "systemd" / unit.name).read_text()
    unit.write_text(re.sub(r"ExecStart=\S*/", f"ExecStart={BUILD}/bin/", made))
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True,
                             stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    assert checked.returncode == 0 and unit.name not in checked.stdout, checked.stdout
    rated = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
                           text=True, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    assert rated.returncode == 0, rated.stdout[-300:]


# ---- metrics ----

SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="[^"\\\n]*"(?:,(?=[a-z])|(?=\})))*)\})? (\S+)')
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def read_metrics(directory):
    """{name: {labels: value}}, after a look at the form: Prometheus' text format 0.0.4."""
    reply = directory.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.text.endswith("\n")
    values, types, helps, family = {}, {}, set(), None
    for line in reply.text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in helps and len(line.split(" ", 3)) == 4
            helps.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and name not in types
            types[name] = kind
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name in [family + suffix for suffix in SUFFIXES[types[family]]], line
            at = values.setdefault(name, {})
            key = tuple(sorted(re.findall(r'([a-z_]+)="([^"]*)"', labels or "")))
            assert key not in at, line
            at[key] = float(value)
    for name, kind in types.items():
        assert (kind == "counter") == name.endswith("_total"), name
    check_histograms(values, types)
    return values


def check_histograms(values, types):
    for name in [name for name, kind in types.items() if kind == "histogram"]:
        rows = {}
        for key, value in values[name + "_bucket"].items():
            labels = dict(key)
            bound = float(labels.pop("le"))
            rows.setdefault(tuple(sorted(labels.items())), []).append((bound, value))
        for key, buckets in rows.items():
            buckets.sort()
            counts = [count for _, count in buckets]
            assert counts == sorted(counts) and buckets[-1][0] == float("inf")
            assert values[name + "_count"][key] == counts[-1]
            assert values[name + "_sum"][key] >= 0


def value(metrics, name, **labels):
    return metrics.get(name, {}).get(tuple(sorted(labels.items())), 0)


def requests(metrics, route, status, method="GET"):
    return value(metrics, "p2p_directory_http_requests_total", route=route, method=method,
                 status=str(status))


def test_metrics_count_what_happens(net):
    directory = net.directory(expiry=2)
    before = read_metrics(directory)
    assert value(before, "p2p_directory_live_peers") == 0
    assert value(before, "p2p_directory_ready") == 1
    assert directory.login("Peer1", files=["a", "b"]).status == 200
    assert directory.login("Peer2", files=["a"]).status == 200
    assert directory.login("Peer2", password="wrong").status == 401
    for name in ("a", "b", "c"):
        directory.get("/buscar_archivos", filename=name)
    directory.request("POST", "/buscar_archivos", body=b'{"filenames":["a"]}')
    directory.get("/nope")
    directory.request("DELETE", "/login")
    after = read_metrics(directory)
    assert value(after, "p2p_directory_live_peers") == 2
    assert value(after, "p2p_directory_indexed_files") == 3
    assert requests(after, "/login", 200, "POST") == 2
    assert requests(after, "/login", 401, "POST") == 1
    assert requests(after, "/buscar_archivos", 200) == 2
    assert requests(after, "/buscar_archivos", 404) == 1
    assert requests(after, "/buscar_archivos", 200, "POST") == 1
    assert requests(after, "", 404, "") == requests(after, "", 405, "") == 1
    assert requests(after, "/metrics", 200) == 1  # the one before
    assert value(after, "p2p_directory_http_request_seconds_count", route="/login", method="POST") == 3
    assert value(after, "p2p_directory_login_wait_seconds_count") >= 3
    assert value(after, "p2p_directory_commit_seconds_count") >= 2
    assert value(after, "p2p_directory_commit_entries_sum") >= 2
    assert value(after, "p2p_directory_connections_total") >= 10
    assert 1 <= value(after, "p2p_directory_connections_open") <= 10
    resident = directory.status_value("VmRSS") * 1024
    assert 0.5 < value(after, "process_resident_memory_bytes") / resident < 2
    assert abs(value(after, "process_start_time_seconds") - time.time()) < 300
    assert [dict(key) for key in after["p2p_directory_build_info"]] == [
        {"version": directory.get("/").json["version"]}]
    wait_until(lambda: value(read_metrics(directory), "p2p_directory_peer_expiries_total") == 2, 10,
               "both peers to expire")
    assert value(read_metrics(directory), "p2p_directory_live_peers") == 0


def test_the_number_of_files_lasts(net):
    """It is kept with the files; a database that has none yet is counted."""
    directory = net.directory()

    def files():
        return value(read_metrics(directory), "p2p_directory_indexed_files")

    directory.login("Peer1", files=[f"f{i}" for i in range(20)])
    directory.login("Peer2", files=["f0", "g"])
    assert files() == 22
    directory.login("Peer1", files=["f1", "f30"])
    assert files() == 4
    directory.kill()
    directory.start()
    assert files() == 4
    directory.terminate()
    with contextlib.closing(sqlite3.connect(directory.database)) as database:
        assert database.execute("SELECT value FROM state WHERE key='files'").fetchall() == [(4,)]
        database.execute("DELETE FROM state WHERE key='files'")
        database.commit()
    directory.start()
    assert files() == 4
    directory.login("Peer2", files=[])
    assert files() == 2
