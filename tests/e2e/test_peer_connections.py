"""How many connections a peer takes, from whom, and that it always comes back to taking them."""

import json
import re
import resource
import socket
import time

import grpc
import pytest

import harness
from harness import wait_until
from stubs import peer as wire
from test_attack_peer import frame, literal
from test_peer_faults import still_serves
from test_peer_service import refused

CODE = grpc.StatusCode

# What a client of HTTP/2 says first, with no settings.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"

# And then it watches the health: a connection with a call is never idle.
BUSY = GREETING + frame(1, 4, 1, b"".join(literal(*field) for field in (
    (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Watch"),
    (":authority", "x"), ("te", "trailers"), ("content-type", "application/grpc")))) + \
    frame(0, 1, 1, b"\0" * 5)


def limited(net, descriptors, **options):
    """A peer that may open so many."""
    peer = net.peer(files={"a": "x"}, **options)
    peer.terminate()
    peer.argv = ["prlimit", f"--nofile={descriptors}:{descriptors}", *peer.argv]
    peer.start()
    return peer


def connect(peer, source="127.0.0.1", greeting=GREETING):
    connection = socket.create_connection(("127.0.0.1", peer.port), timeout=10,
                                          source_address=(source, 0))
    try:
        connection.sendall(greeting)
    except OSError:
        pass  # it was closed at once
    return connection


def close_all(connections):
    for connection in connections:
        connection.close()


def is_closed(connection):
    """Whether the other side has closed it. Reads what there is."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def still_open(connections):
    return sum(not is_closed(connection) for connection in connections)


def connections(peer):
    return json.loads(peer.command("status", "--json").stdout)["connections"]


@pytest.mark.parametrize("greeting", [b"", b"PRI * HTTP", GREETING], ids=["silent", "half", "whole"])
@pytest.mark.parametrize("descriptors", [64, 200])
def test_more_connections_than_descriptors(net, descriptors, greeting):
    peer = limited(net, descriptors)
    for _ in range(2):
        flood = [connect(peer, f"127.0.0.{1 + number % 8}", greeting)
                 for number in range(2 * descriptors)]
        most = connections(peer)["max"]  # the control socket has places of its own
        wait_until(lambda: still_open(flood) <= most, what="what is too much to be closed")
        assert peer.descriptors() < descriptors
        close_all(flood)
        wait_until(lambda: connections(peer)["open"] == 0, what="the places to be free again")
        still_serves(peer)
    assert peer.log.count("WARNING rpc") <= 2, peer.log


def test_silent_connections_make_room(net):
    """As many as there may be, of every host: a client that greets gets in all the same."""
    peer = limited(net, 200)
    flood = [connect(peer, f"127.0.0.{1 + number % 8}", b"") for number in range(400)]
    still_serves(peer)
    assert still_open(flood) > 0
    close_all(flood)


def test_one_host_does_not_get_all_places(net):
    peer = limited(net, 200)
    flood = [connect(peer, "127.0.0.2", BUSY) for _ in range(100)]
    most = connections(peer)["max"]
    wait_until(lambda: still_open(flood) == most // 4, what="the rest to be closed")
    still_serves(peer)  # another host
    with socket.create_connection(("127.0.0.1", peer.port), source_address=("127.0.0.2", 0)) as late:
        wait_until(lambda: is_closed(late), 2, "it to be closed")
    assert len(re.findall(r"WARNING rpc: 127\.0\.0\.1:\d+: \d+ connections of one host", peer.log)) == 1
    assert "127.0.0.2:" in peer.log
    close_all(flood)
    wait_until(lambda: connections(peer)["open"] == 0, what="the places to be free again")
    close_all([connect(peer, "127.0.0.2")])


def test_a_client_too_many_is_told_at_once(net):
    peer = limited(net, 64)
    flood = [connect(peer, greeting=BUSY) for _ in range(20)]
    # Until the last of them has been looked at, one that is still silent would make room.
    wait_until(lambda: still_open(flood) == 4, what="the limit of one host to be reached")
    started = time.monotonic()
    with peer.client() as client:
        assert refused(client.list_files)[0] == CODE.UNAVAILABLE
    result = peer.command("list", peer.address)
    assert result.returncode == 4
    assert f"No se pudo conectar con {peer.address}" in result.stderr
    assert time.monotonic() - started < 8 * harness.PATIENCE
    close_all(flood)
    wait_until(lambda: connections(peer)["open"] == 0, what="the places to be free again")
    still_serves(peer)


def test_no_descriptor_left_for_a_while(net):
    """Whoever took them: who connects meanwhile waits, and is served when there are some again."""
    peer = net.peer(files={"a": "x"})
    still_serves(peer)
    limits = resource.prlimit(peer.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(peer.pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # none of these ever closes
    with peer.client() as client:
        call = client.stub.ListFiles.future(wire.Empty(), timeout=60)
        used = peer.processor_seconds()
        time.sleep(2)
        assert not call.done()
        assert peer.processor_seconds() - used < 1
        resource.prlimit(peer.pid, resource.RLIMIT_NOFILE, limits)
        assert [file.filename for file in call.result(30).files]
    assert peer.log.count("cannot accept connections, trying on: Too many open files") == 1
    still_serves(peer)


def drip(connection, data):
    try:
        connection.send(data)
    except OSError:
        pass


def test_who_says_nothing_is_closed(peer):
    """After fifteen seconds, also who sends a byte now and then; who greets may stay."""
    started = time.monotonic()
    silent, half, dripping = connect(peer, greeting=b""), connect(peer, greeting=GREETING[:30]), \
        connect(peer, greeting=b"")
    greeted = connect(peer)
    number = 0
    while not any(map(is_closed, (silent, half, dripping))):
        assert time.monotonic() - started < 15 + 10 * harness.PATIENCE
        if time.monotonic() - started > number < 12:
            drip(dripping, GREETING[number:number + 1])
            number += 1
        time.sleep(0.1)
    assert time.monotonic() - started > 14
    wait_until(lambda: all(map(is_closed, (silent, half, dripping))), 5, "them to be closed")
    assert not is_closed(greeted)
    still_serves(peer)


def test_strangers_are_closed_at_once(peer):
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", GREETING[:24] + bytes(9)):
        with connect(peer, greeting=noise) as connection:
            wait_until(lambda: is_closed(connection), 3, "it to be closed")
    still_serves(peer)


@pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0", "::"])
def test_the_log_names_the_client(net, ip):
    peer = net.peer(ip=ip)
    with peer.client() as client:
        assert client.upload("a", b"x").ok
    assert re.search(r"took in a \(1 bytes\) from 127\.0\.0\.1:\d+\n", peer.log)


def test_status_counts_connections(peer):
    assert connections(peer)["open"] == 0
    some = [connect(peer) for _ in range(3)]
    wait_until(lambda: connections(peer)["open"] == 3, what="them to be counted")
    assert re.search(r"Conexiones    3 abiertas, \d+ como máximo", peer.command("status").stdout)
    close_all(some)
    wait_until(lambda: connections(peer)["open"] == 0, what="them to be gone")


def test_stops_with_connections_of_all_kinds(net):
    peer = net.peer()
    some = [connect(peer, greeting=GREETING[:number % 34]) for number in range(200)]
    assert peer.terminate() < harness.STOPS_WITHIN
    wait_until(lambda: still_open(some) == 0, what="all to be closed")
