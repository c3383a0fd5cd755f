#!/usr/bin/python3
"""A small peer on grpcio: the stand-in for the reference in the benchmarks. 64 KiB chunks, nothing
synced, as the reference does it.

    grpcio_peer.py serve FOLDER                       prints "ready at ADDRESS"
    grpcio_peer.py download ADDRESS NAME FILE         prints the seconds that the call took
    grpcio_peer.py upload ADDRESS FILE NAME           likewise
    grpcio_peer.py lie FILE IP LOGIN-URL PEER PASSWORD
                                                      a source that sends ranges and true hashes, but one
                                                      bit in every message is wrong; logs itself in.
                                                      Prints "ready at ADDRESS", and at each request for
                                                      a part "asked"
"""

import concurrent.futures
import json
import pathlib
import signal
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import grpc  # noqa: E402
import reference  # noqa: E402
from stubs import content  # noqa: E402
from stubs import peer as wire  # noqa: E402
from stubs import peer_rpc  # noqa: E402

CHUNK = 64 * 1024
PIECE = 1 << 20
HEARTBEAT_SECONDS = 8


class Service(peer_rpc.PeerServiceServicer):
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def DownloadFile(self, request, context):
        with (self.folder / request.filename).open("rb") as file:
            while data := file.read(CHUNK):
                yield wire.Chunk(data=data)

    def UploadFile(self, request_iterator, context):
        total, name, file = 0, "upload.bin", None
        for chunk in request_iterator:
            if file is None:
                name = chunk.filename or name
                file = (self.folder / name).open("wb")
            file.write(chunk.data)
            total += len(chunk.data)
        file.close()
        return wire.UploadResponse(ok=True, message=f"Escrito {total} bytes en {name}")


class Liar:
    """What docs/api.md and docs/transfers.md say of parts and manifests, with wrong bytes."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        data = self.path.read_bytes()
        self.size = len(data)
        self.hashes = b"".join(reference.pieces_of(data))
        self.content_id = reference.id_of(data)

    def DownloadFile(self, request, context):
        print("asked", flush=True)
        total = self.size
        with self.path.open("rb") as file:
            file.seek(request.offset)
            left = request.length or self.size
            while left > 0 and (data := bytearray(file.read(min(left, CHUNK)))):
                data[len(data) // 2] ^= 1
                left -= len(data)
                yield content.Chunk(data=bytes(data), total_bytes=total, offset=request.offset)
                total = 0

    def GetManifest(self, request, context):
        yield content.ManifestPart(content_id=self.content_id, size_bytes=self.size,
                                   piece_hashes=self.hashes)

    def add_to(self, server):
        methods = {
            "DownloadFile": grpc.unary_stream_rpc_method_handler(
                self.DownloadFile, content.DownloadRequest.FromString,
                content.Chunk.SerializeToString),
            "GetManifest": grpc.unary_stream_rpc_method_handler(
                self.GetManifest, content.ManifestRequest.FromString,
                content.ManifestPart.SerializeToString)}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("peer.PeerService", methods),))

    def log_in(self, login_url, peer, password, address):
        """For ever."""
        index = [{"filename": self.path.name, "url": [address], "size": self.size,
                  "content": self.content_id.hex()}]
        form = urllib.parse.urlencode({"username": peer, "password": password,
                                       "files_index": json.dumps(index)}).encode()
        while True:
            with urllib.request.urlopen(login_url, form, timeout=10) as reply:
                reply.read()
            time.sleep(HEARTBEAT_SECONDS)


def start(add_service, ip="127.0.0.1"):
    """The server and its address."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=10))
    add_service(server)
    address = f"{ip}:{server.add_insecure_port(f'{ip}:0')}"
    server.start()
    print(f"ready at {address}", flush=True)
    return server, address


def wait_for_the_end(server):
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0).wait()


def serve(folder):
    server, _ = start(
        lambda server: peer_rpc.add_PeerServiceServicer_to_server(Service(folder), server))
    wait_for_the_end(server)


def lie(path, ip, login_url, peer, password):
    liar = Liar(path)
    server, address = start(liar.add_to, ip)
    threading.Thread(target=liar.log_in, args=(login_url, peer, password, address),
                     daemon=True).start()
    wait_for_the_end(server)


def download(address, name, path):
    with grpc.insecure_channel(address) as channel, open(path, "wb") as file:
        stub = peer_rpc.PeerServiceStub(channel)
        started = time.monotonic()
        for chunk in stub.DownloadFile(wire.DownloadRequest(filename=name)):
            file.write(chunk.data)
        file.flush()
        print(time.monotonic() - started)


def upload(address, path, name):
    def messages(file):
        first = True
        while data := file.read(CHUNK):
            yield wire.UploadChunk(filename=name if first else "", data=data)
            first = False

    with grpc.insecure_channel(address) as channel, open(path, "rb") as file:
        stub = peer_rpc.PeerServiceStub(channel)
        started = time.monotonic()
        reply = stub.UploadFile(messages(file))
        assert reply.ok, reply.message
        print(time.monotonic() - started)


if __name__ == "__main__":
    if sys.argv[1] in ("serve", "lie"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    {"serve": serve, "download": download, "upload": upload, "lie": lie}[sys.argv[1]](*sys.argv[2:])
