#!/usr/bin/python3
"""Downloads of many files through a peer's control socket, several at once.

    control_gets.py SOCKET ADDRESS FILE-OF-NAMES AT-ONCE

Each is a call of its own, as `p2p-peer get NAME --from ADDRESS` makes it, without a process for each.
"""

import concurrent.futures
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import grpc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def stubs():
    with tempfile.TemporaryDirectory(prefix="p2p-stubs-") as folder:
        subprocess.run(
            ["protoc", f"-I{PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}",
             f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}",
             str(PROTO / "control.proto")], check=True)
        sys.path.insert(0, folder)
        return importlib.import_module("control_pb2"), importlib.import_module("control_pb2_grpc")


def main(socket, address, names, at_once):
    wire, rpc = stubs()

    def fetch(name):
        """The reason why there is no file, or nothing."""
        last = None
        for last in control.Get(wire.GetRequest(name=name, peer=address, addresses=[address])):
            if last.failure.code or last.job.failure.code:
                return f"{name}: {last.failure.text}{last.job.failure.text}"
        return "" if last and last.job.path else f"{name}: no path"

    with grpc.insecure_channel(f"unix:{socket}") as channel, \
            concurrent.futures.ThreadPoolExecutor(int(at_once)) as pool:
        control = rpc.ControlStub(channel)
        reasons = [text for text in pool.map(fetch, pathlib.Path(names).read_text().split()) if text]
    if reasons:
        sys.exit(f"{len(reasons)} failed, the first: {reasons[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
