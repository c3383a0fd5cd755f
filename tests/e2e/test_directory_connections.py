"""Who gets a connection, and what happens when there are too many of them."""

import contextlib
import os
import pathlib
import re
import resource
import select
import time

import pytest

from harness import PATIENCE, wait_until
from test_directory_faults import alive, dial
from test_directory_outside import stopped_thread

ASK = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
OURS = 128  # descriptors that the directory leaves for all but connections


@contextlib.contextmanager
def many():
    """A list for connections, which are closed at the end."""
    connections = []
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def served(connection):
    connection.sendall(ASK)
    return connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def kind(descriptor):
    try:
        return os.readlink(descriptor)
    except FileNotFoundError:
        return ""  # closed meanwhile


def sockets_of_loops(directory):
    """How many sockets each event loop waits for; those that wait for none are not HTTP's."""
    folder = pathlib.Path(f"/proc/{directory.pid}")
    counts = []
    for entry in (folder / "fd").iterdir():
        if kind(entry) != "anon_inode:[eventpoll]":
            continue
        watched = re.findall(r"^tfd:\s+(\d+)", (folder / "fdinfo" / entry.name).read_text(), re.M)
        counts.append(sum(kind(folder / "fd" / fd).startswith("socket:") for fd in watched))
    return sorted(counts)


@pytest.mark.skipif(os.cpu_count() < 2, reason="one core, one loop")
@pytest.mark.parametrize("at_once", [True, False], ids=["all at once", "one after the other"])
def test_all_loops_get_the_same_number(directory, at_once):
    loops = len(sockets_of_loops(directory))
    assert loops == min(os.cpu_count(), 16)
    with many() as connections:
        for _ in range(20 * loops):
            connections.append(dial(directory))
            if not at_once:
                assert served(connections[-1])
        for connection in connections:
            assert served(connection)
        assert sockets_of_loops(directory) == [20] * loops
        # Those that go leave places, which the next ones take.
        for connection in connections[:10 * loops]:
            connection.close()
        wait_until(lambda: sum(sockets_of_loops(directory)) == 10 * loops, 10, "their end")
        for _ in range(10 * loops):
            connections.append(dial(directory))
            assert served(connections[-1])
        assert sockets_of_loops(directory) == [20] * loops


@pytest.mark.skipif(os.cpu_count() < 2, reason="one core, one loop")
def test_a_loop_that_is_stuck_gets_none(directory):
    """What it has waits for it; who comes after it was missed is served by the others."""
    with many() as connections, stopped_thread(directory):
        time.sleep(3 * PATIENCE)  # loops are asked to come round once a second
        for _ in range(20):
            connections.append(dial(directory))
            assert served(connections[-1])
    assert alive(directory)


def test_more_connections_than_there_are_places(net):
    """Who comes too late waits in the listener's queue, at no cost, until one of the others goes."""
    places = 300
    directory = net.directory(descriptors=places + OURS)
    with many() as connections:
        for _ in range(places):
            connections.append(dial(directory))
            assert served(connections[-1])
        waiting = [dial(directory) for _ in range(50)]
        connections += waiting
        for connection in waiting:
            connection.sendall(ASK)
        used = directory.processor_seconds()
        time.sleep(2)
        assert directory.processor_seconds() - used < 1
        assert select.select(waiting, [], [], 0)[0] == []
        assert served(connections[0])
        assert sum(sockets_of_loops(directory)) == places
        for gone, connection in zip(connections, waiting):
            gone.close()
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert directory.log.count(f"{places} connections are open, the next ones have to wait") == 1
    wait_until(lambda: sum(sockets_of_loops(directory)) == 0, 10, "their end")
    assert alive(directory)


def test_no_descriptor_left_for_a_while(directory):
    """Who connects meanwhile waits, others are served; all are when there are some again."""
    with many() as connections:
        connections.append(dial(directory))
        assert served(connections[0])
        limits = resource.prlimit(directory.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(directory.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        for _ in range(20):
            connections.append(dial(directory))
            connections[-1].sendall(ASK)
        used = directory.processor_seconds()
        time.sleep(2)
        assert directory.processor_seconds() - used < 1
        assert served(connections[0])
        assert select.select(connections[1:], [], [], 0)[0] == []
        resource.prlimit(directory.pid, resource.RLIMIT_NOFILE, limits)
        for connection in connections[1:]:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert directory.log.count("cannot accept connections, trying on: Too many open files") == 1
    assert alive(directory)
