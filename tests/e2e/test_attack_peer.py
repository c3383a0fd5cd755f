"""What a hostile source or an odd start can do to a peer, beyond the faults of the other files."""

import os
import subprocess
import time

import harness
from harness import wait_until
from test_peer_downloads import BrokenPeer


def says_nothing_for_ever(peer, context):
    while context.is_active() and not peer.release.wait(0.05):
        yield b""


def test_empty_messages_are_no_data(net):
    """A source that only ever sends messages without a byte has its turn like one that is silent."""
    source = net.reference_peer(BrokenPeer, behave=says_nothing_for_ever)
    peer = net.peer()
    started = time.monotonic()
    result = peer.command("get", "a.bin", "--from", source.address, timeout=25)
    assert result.returncode == 4, result.stderr
    assert "no envía datos" in result.stderr
    assert time.monotonic() - started < 20 * harness.PATIENCE
    assert peer.names() == []
