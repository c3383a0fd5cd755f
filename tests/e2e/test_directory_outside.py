"""The directory as those see it who watch over it: health, readiness, the service manager."""

import contextlib
import ctypes
import os
import signal
import socket
import time

import pytest

from harness import PATIENCE, environment, wait_until

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
    yield
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
