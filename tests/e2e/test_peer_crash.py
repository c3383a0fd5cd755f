"""kill -9 of a peer at bad moments: it starts again and no half file is ever visible."""

import os
import subprocess
import threading

import grpc
import pytest

import harness
import reference
from harness import wait_until
from test_peer_faults import start_upload, still_serves

MIB = 1024 * 1024


def visible(peer):
    return [name for name in peer.names() if not name.startswith(".")]


def test_in_the_middle_of_an_upload(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"old": "x"})
    directory.wait_for_files("Peer1", ["old"])
    with peer.client() as client:
        call, release = start_upload(client, peer)
        peer.kill()
        release.set()
        assert isinstance(call.exception(10), grpc.RpcError)
    assert visible(peer) == ["old"]
    peer.start()
    assert peer.names() == ["old"]  # what nobody holds any more is removed at the start
    directory.wait_for_files("Peer1", ["old"])
    still_serves(peer)


def test_what_was_acknowledged_is_there(net):
    peer = net.peer()
    contents = {f"file {number}": reference.random_bytes(100_000 + number, number)
                for number in range(20)}
    with peer.client() as client:
        for name, data in contents.items():
            assert client.upload(name, data).ok
    peer.kill()
    assert visible(peer) == sorted(contents)
    for name, data in contents.items():
        assert (peer.share / name).read_bytes() == data
    peer.start()
    with peer.client() as client:
        assert client.list_files() == {name: len(data) for name, data in contents.items()}


class HalfPeer(reference.ReferencePeer):
    """Sends the first half of a file and then stands still until released."""

    def __init__(self, *arguments, **options):
        self.release = threading.Event()
        self.halfway = threading.Event()
        super().__init__(*arguments, **options)

    def stop(self):
        self.release.set()
        super().stop()

    def DownloadFile(self, request, context):
        chunks = list(super().DownloadFile(request, context))
        yield from chunks[:len(chunks) // 2]
        self.halfway.set()
        self.release.wait(60)
        yield from chunks[len(chunks) // 2:]


def test_in_the_middle_of_a_download(net):
    directory = net.directory()
    source = net.reference_peer(HalfPeer, files={"a.bin": reference.random_bytes(4 * MIB)})
    directory.login("Peer2", files=["a.bin"], url=[source.address])
    peer = net.peer("Peer1", directory)
    getting = subprocess.Popen(
        [str(harness.PEER_PROGRAM), "get", "a.bin", "--config", str(peer.config_path)],
        env=harness.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        assert source.halfway.wait(20 * harness.PATIENCE)
        wait_until(lambda: peer.names(), what="the temporary file")
        assert visible(peer) == []
        peer.kill()
        assert getting.wait(20 * harness.PATIENCE) == 4
    finally:
        getting.kill()
        getting.wait()
    assert visible(peer) == []
    half = peer.names()
    source.release.set()
    directory.login("Peer2", files=["a.bin"], url=[source.address])
    peer.start()
    wait_until(lambda: visible(peer) == ["a.bin"], what="the job to begin anew, and to end")
    assert not set(half) & set(peer.names())
    assert peer.command("get", "a.bin").returncode == 0
    assert (peer.share / "a.bin").read_bytes() == (source.folder / "a.bin").read_bytes()


@pytest.mark.no_thread_sanitizer
def test_again_and_again(net):
    """Killed at many moments of a stream of uploads."""
    peer = net.peer()
    data = reference.random_bytes(3 * MIB)
    acknowledged = set()
    for round_number in range(8):
        stop = threading.Timer(0.05 * round_number + 0.01, peer.kill)
        with peer.client() as client:
            stop.start()
            try:
                for number in range(1000):
                    name = f"{round_number}-{number}"
                    if client.upload(name, data + name.encode()).ok:
                        acknowledged.add(name)
            except grpc.RpcError:
                pass
            stop.join()
        for name in visible(peer):
            assert (peer.share / name).read_bytes() == data + name.encode()
        assert acknowledged <= set(visible(peer))
        peer.start()
        assert peer.names() == visible(peer)
    assert acknowledged


def test_another_daemons_temporary_files_stay(net):
    """Two daemons may share a folder: the second one's start must not take what the first receives."""
    first = net.peer("Peer1")
    with first.client() as client:
        call, release = start_upload(client, first)
        second = net.peer("Peer2", share=first.share)
        assert len(first.names()) == 1
        second.terminate()
        release.set()
        assert call.result(20).ok
    assert visible(first) == ["half.bin"]


def test_a_stale_control_socket_is_no_obstacle(net):
    peer = net.peer()
    peer.kill()
    assert os.path.exists(peer.settings["control_socket"])
    peer.start()
    assert peer.command("status").returncode == 0
    assert os.stat(peer.settings["control_socket"]).st_mode & 0o777 == 0o600
