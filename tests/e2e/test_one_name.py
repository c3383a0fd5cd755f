"""Two of our peers that go by one name: the last one is listed, both are told, and neither sends its list for ever."""

import json
import time

import pytest

from harness import wait_until
from way import Way

EXPIRY = 3


@pytest.fixture
def ways():
    opened = []

    def way(directory, source):
        opened.append(Way(directory, source))
        return opened[-1]

    yield way
    for one in opened:
        one.close()


def start(net, way, name):
    return net.peer("Peer1", files={name: "x"}, auth_enabled=True, api_url=f"{way.url}/login",
                    api_search_url=f"{way.url}/buscar_archivos")


def wait_for_content(directory, name):
    """The list has it, too: it is not about to change."""
    wait_until(lambda: "content" in directory.get("/buscar_archivos", filename=name).text,
               what="the content")


def told(peer):
    """What status says of the other one."""
    return json.loads(peer.command("status", "--json").stdout)["directory"]["name_also_used"]


@pytest.mark.long
def test_from_two_addresses(net, ways):
    directory = net.directory(expiry=EXPIRY)
    here, there = ways(directory, "127.0.0.1"), ways(directory, "127.0.0.2")
    first = start(net, here, "first")
    wait_for_content(directory, "first")
    assert told(first) is None
    second = start(net, there, "second")
    wait_until(lambda: told(first) == {"address": "127.0.0.2", "listed": True}, what="the first")
    wait_until(lambda: told(second) == {"address": "127.0.0.1", "listed": False}, what="the second")
    assert directory.files_of("Peer1") == ["second"]
    assert "otro peer usa el mismo nombre desde 127.0.0.2" in first.command("status").stdout
    lists = here.lists
    (first.share / "more").write_text("x")  # it stays here
    (second.share / "more").write_text("x")
    directory.wait_for_files("Peer1", ["more", "second"])
    wait_for_content(directory, "more")
    wait_for_content(directory, "second")
    assert here.lists == lists
    lists = here.lists, there.lists
    time.sleep(3 * EXPIRY)
    assert (here.lists, there.lists) == lists
    assert directory.files_of("Peer1") == ["more", "second"]
    for peer in first, second:
        assert peer.log.count("another peer goes by the name 'Peer1', too, from ") == 1
    second.kill()  # it does not say that it goes
    directory.wait_for_files("Peer1", ["first", "more"], 10 * EXPIRY)
    wait_until(lambda: told(first) is None, what="the notice to go")
    assert first.log.count("tells of no other peer 'Peer1' any more") == 1
    assert "otro peer" not in first.command("status").stdout


def test_who_stops_makes_room_at_once(net, ways):
    directory = net.directory(expiry=15)
    here, there = ways(directory, "127.0.0.1"), ways(directory, "127.0.0.2")
    first = start(net, here, "first")
    wait_for_content(directory, "first")
    second = start(net, there, "second")
    wait_until(lambda: told(first), what="the first")
    second.terminate()
    directory.wait_for_files("Peer1", ["first"], 10)
    assert told(first) is None


@pytest.mark.long
def test_from_one_address(net, ways):
    """The directory cannot tell them apart: each is listed for ever longer."""
    directory = net.directory(expiry=EXPIRY)
    ones = [ways(directory, "127.0.0.1") for _ in range(2)]
    peers = [start(net, way, name) for way, name in zip(ones, ["first", "second"])]
    wait_until(lambda: any(told(peer) == {"address": "", "listed": True} for peer in peers), 30,
               what="one to be told")
    lists = sum(way.lists for way in ones)
    time.sleep(8 * EXPIRY)
    assert sum(way.lists for way in ones) <= lists + 8


def test_the_menu_says_so(net, ways):
    directory = net.directory(expiry=EXPIRY)
    first = start(net, ways(directory, "127.0.0.1"), "first")
    wait_for_content(directory, "first")
    start(net, ways(directory, "127.0.0.2"), "second")
    wait_until(lambda: (told(first) or {}).get("listed"), what="the first")
    screen = first.command("menu", stdin="9\n0\n").stdout
    assert screen.count("Aviso: otro peer usa el mismo nombre desde 127.0.0.2: el directorio muestra "
                        "sus archivos, no los de este peer.") == 1
