"""Python code of the .proto files beside this one, generated once a process into a folder of its own."""

import atexit
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

_PROTOS = pathlib.Path(__file__).resolve().parent / "protos"


def _generate():
    folder = tempfile.mkdtemp(prefix="p2p-stubs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    plugin = shutil.which("grpc_python_plugin")
    assert plugin, "grpc_python_plugin is missing (package protobuf-compiler-grpc)"
    subprocess.run(
        ["protoc", f"-I{_PROTOS}", f"--python_out={folder}", f"--grpc_python_out={folder}",
         f"--plugin=protoc-gen-grpc_python={plugin}", *map(str, sorted(_PROTOS.glob("*.proto")))],
        check=True)
    sys.path.insert(0, folder)


_generate()
peer = importlib.import_module("reference_peer_pb2")
peer_rpc = importlib.import_module("reference_peer_pb2_grpc")
content = importlib.import_module("content_peer_pb2")
health = importlib.import_module("standard_health_pb2")
health_rpc = importlib.import_module("standard_health_pb2_grpc")
reflection = importlib.import_module("standard_reflection_pb2")
