#!/usr/bin/python3
"""A small peer on grpcio: the stand-in for the reference in the benchmarks. 64 KiB chunks, nothing
synced, as the reference does it.

    grpcio_peer.py serve FOLDER                       prints "ready at ADDRESS"
    grpcio_peer.py download ADDRESS NAME FILE         prints the seconds that the call took
    grpcio_peer.py upload ADDRESS FILE NAME           likewise
"""

import concurrent.futures
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import grpc  # noqa: E402
from stubs import peer as wire  # noqa: E402
from stubs import peer_rpc  # noqa: E402

CHUNK = 64 * 1024


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


def serve(folder):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=10))
    peer_rpc.add_PeerServiceServicer_to_server(Service(folder), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready at 127.0.0.1:{port}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0).wait()


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
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if sys.argv[1] == "serve" else set())
    {"serve": serve, "download": download, "upload": upload}[sys.argv[1]](*sys.argv[2:])
