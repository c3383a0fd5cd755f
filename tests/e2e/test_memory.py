"""Memory of the daemons, in builds without sanitizers."""

import pytest

pytestmark = pytest.mark.plain
MIB = 1024 * 1024


def test_idle_daemons_are_small(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    assert directory.status_value("VmRSS") < 20 * 1024
    assert peer.status_value("VmRSS") < 20 * 1024


def test_a_transfer_does_not_grow_with_the_file(net):
    """1 GiB (a hole, so that it is quick) between two of ours, down and up."""
    directory = net.directory()
    source = net.peer("Peer2", directory, files={"big.bin": 1024 * MIB})
    peer = net.peer("Peer1", directory)
    directory.wait_for_files("Peer2", ["big.bin"])
    before = {daemon: daemon.status_value("VmRSS") for daemon in (source, peer)}
    assert peer.command("get", "big.bin", "--from", "Peer2", timeout=150).returncode == 0
    assert (peer.share / "big.bin").stat().st_size == 1024 * MIB
    (source.share / "big.bin").unlink()
    assert peer.command("put", "big.bin", source.address, timeout=150).returncode == 0
    for daemon, small in before.items():
        assert daemon.status_value("VmHWM") - small < 32 * 1024, daemon.name


def test_many_logins_leave_nothing_behind(net):
    directory = net.directory()
    for _ in range(200):
        directory.login("Peer1", files=["a", "b"])
    before = directory.status_value("VmRSS")
    for number in range(2000):
        directory.login("Peer1", files=["a", f"b{number}"])
    assert directory.status_value("VmRSS") - before < 4 * 1024
