"""Stand-ins for the reference system: its directory, its peer and its client.

Written from the description of what the reference does, on Python's http.server and grpcio, and on
nothing of this project. They have the reference's weaknesses too (any name is taken, what is there is
overwritten, the index only grows, the URL has an end), because our programs must live with them.
"""

import concurrent.futures
import hashlib
import http.server
import json
import os
import pathlib
import struct
import threading
import time
import urllib.parse
import urllib.request

import grpc

from stubs import content
from stubs import peer as wire
from stubs import peer_rpc

CHUNK = 64 * 1024
USERS = {"Peer1": "sd1234", "Peer2": "sd1234", "Peer3": "sd1234", "Peer4": "sd1234"}


class ReferenceDirectory:
    """GET / · POST /login · GET /buscar_archivos · GET /peers_activos · GET /ver_archivos"""

    def __init__(self, port=0, expiry=60.0, users=None):
        self.users = dict(users or USERS)
        self.expiry = expiry
        self.lock = threading.Lock()
        self.seen = {}  # peer -> time of the last login, in login order
        self.entries = []  # {"peer", "filename", "url"}: only grows
        self.keys_told = set()  # of all entries that came
        self.asked = []  # of every request: "METHOD /path"
        self.logins = []  # what came: {"username", "in_query", "files", "status", "bytes", "time"}
        directory = self

        class Handler(_DirectoryHandler):
            owner = directory

        self.server = _Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def active(self):
        now = time.monotonic()
        with self.lock:
            return [peer for peer, seen in self.seen.items() if now - seen < self.expiry]

    def files_of(self, peer):
        with self.lock:
            return sorted(e["filename"] for e in self.entries if e["peer"] == peer)

    def logins_of(self, peer):
        with self.lock:
            return [login for login in self.logins if login["username"] == peer]

    def login(self, username, password, files_index):
        """Status and body."""
        if self.users.get(username) != password:
            return 401, {"detail": "Usuario o contraseña incorrectos"}
        with self.lock:
            self.seen[username] = time.monotonic()
        if files_index is None:
            return 200, {"status": "OK", "token": "123abc"}
        try:
            files = json.loads(files_index)
        except ValueError:
            return 400, {"detail": "Formato inválido en files_index"}
        with self.lock:
            for file in files:
                self.keys_told.update(file)
                entry = {"peer": username, "filename": file["filename"], "url": file["url"]}
                if entry not in self.entries:
                    self.entries.append(entry)
        return 200, {"status": "OK", "token": "123abc"}

    def search(self, filename):
        with self.lock:
            entries = [e for e in self.entries if e["filename"] == filename]
        if not entries:
            return 404, {"detail": f"Archivo '{filename}' no encontrado"}
        active = self.active()
        found = [{"peer": e["peer"], "url": e["url"]} for e in entries if e["peer"] in active]
        if not found:
            return 404, {"detail": f"Archivo '{filename}' encontrado pero los peers no están activos"}
        return 200, {"archivo": filename, "disponible_en": found}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True


class _DirectoryHandler(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code, message=None, explain=None):
        if code == 414:  # the line is over 64 KiB: the connection is reset, as by the reference
            self.close_connection = True
            return
        super().send_error(code, message, explain)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.owner.asked.append(f"{self.command} {parts.path}")
        route = {"/": ("GET", self.root), "/login": ("POST", self.login),
                 "/buscar_archivos": ("GET", self.search), "/peers_activos": ("GET", self.active),
                 "/ver_archivos": ("GET", self.all_files)}.get(parts.path)
        if route is None:
            return self.reply(404, {"detail": "Not Found"})
        if route[0] != self.command:
            return self.reply(405, {"detail": "Method Not Allowed"}, [("Allow", route[0])])
        return route[1](query, body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def missing(self, query, *names):
        gaps = [{"type": "missing", "loc": ["query", name], "msg": "Field required", "input": None}
                for name in names if name not in query]
        if gaps:
            self.reply(422, {"detail": gaps})
        return bool(gaps)

    def root(self, _query, _body):
        self.reply(200, {"mensaje": "Servidor de directorio P2P"})

    def login(self, query, body):
        record = {"username": query.get("username"), "in_query": "username" in query,
                  "bytes": len(self.path), "time": time.monotonic(), "files": None, "status": 422}
        if "username" not in query:  # a body: who it was shows there
            fields = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace")))
            record["username"] = fields.get("username")
        if not self.missing(query, "username", "password"):
            status, answer = self.owner.login(query["username"], query["password"],
                                              query.get("files_index"))
            record["status"] = status
            if "files_index" in query and status == 200:
                record["files"] = sorted(f["filename"] for f in json.loads(query["files_index"]))
            self.reply(status, answer)
        with self.owner.lock:
            self.owner.logins.append(record)

    def search(self, query, _body):
        if not self.missing(query, "filename"):
            self.reply(*self.owner.search(query["filename"]))

    def active(self, _query, _body):
        self.reply(200, {"peers": self.owner.active()})

    def all_files(self, _query, _body):
        with self.owner.lock:
            entries = list(self.owner.entries)
        self.reply(200, {"archivos": entries})


class ReferencePeer(peer_rpc.PeerServiceServicer):
    """The reference's gRPC service over a folder. Any name, overwriting: as it is, not as it should be."""

    def __init__(self, folder, port=0, workers=10):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=workers))
        self.register()
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        assert self.port
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def register(self):
        peer_rpc.add_PeerServiceServicer_to_server(self, self.server)

    def stop(self):
        self.server.stop(0).wait(10)

    def ListFiles(self, request, context):
        files = [wire.FileInfo(filename=entry.name, size_bytes=entry.stat().st_size)
                 for entry in sorted(self.folder.iterdir()) if entry.is_file()]
        return wire.ListFilesResponse(files=files)

    def DownloadFile(self, request, context):
        path = self.folder / request.filename
        if not path.is_file():
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("Archivo no encontrado")
            return
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield wire.Chunk(data=data)

    def UploadFile(self, request_iterator, context):
        file, name, total = None, "upload.bin", 0
        try:
            for chunk in request_iterator:
                if file is None:
                    name = chunk.filename or name
                    file = (self.folder / name).open("wb")
                file.write(chunk.data)
                total += len(chunk.data)
        except Exception as problem:  # as the reference does
            return wire.UploadResponse(ok=False, message=str(problem))
        finally:
            if file:
                file.close()
        return wire.UploadResponse(ok=True, message=f"Escrito {total} bytes en {name}")

    def log_in(self, directory_url, name, password="sd1234", files=None):
        """One login as the reference's peers do it: all in the query string, url lists empty."""
        if files is None:
            files = [entry.name for entry in sorted(self.folder.iterdir()) if entry.is_file()]
        index = json.dumps([{"filename": file, "url": []} for file in files])
        query = urllib.parse.urlencode(
            {"username": name, "password": password, "files_index": index})
        request = urllib.request.Request(f"{directory_url}/login?{query}", method="POST")
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)


MIB = 1024 * 1024


def piece_hash(piece, is_only):
    """The root of BEP 52's tree over 16 KiB blocks."""
    block = 16 * 1024
    level = [hashlib.sha256(piece[at:at + block]).digest() for at in range(0, len(piece), block)]
    width = 1 << (len(level) - 1).bit_length() if is_only else MIB // block
    level += [bytes(32)] * (width - len(level))
    while len(level) > 1:
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


def pieces_of(data):
    return [piece_hash(data[at:at + MIB], len(data) <= MIB) for at in range(0, len(data), MIB)]


def id_of(data):
    return hashlib.sha256(
        b"p2p-content-2\n" + struct.pack(">Q", len(data)) + b"".join(pieces_of(data))).digest()


class ContentPeer(ReferencePeer):
    """A peer that knows hashes and sends parts, written from their description; it counts what it
    sends, and can be made slow (`rate` bytes a second), to lie (`lies(offset)`), to stop after so many
    bytes without a word (`stall_after`), or to break off every stream after so many (`break_after`)."""

    def __init__(self, folder, **options):
        self.sent = 0
        self.calls = []  # offset and length of each
        self.manifests = 0
        self.rate = None
        self.lies = lambda offset: False
        self.stall_after = self.break_after = None
        self.release = threading.Event()
        self.count_lock = threading.Lock()
        super().__init__(folder, workers=32, **options)

    def stop(self):
        self.release.set()
        super().stop()

    def register(self):
        handlers = {
            "DownloadFile": grpc.unary_stream_rpc_method_handler(
                self.Part, content.DownloadRequest.FromString, content.Chunk.SerializeToString),
            "GetManifest": grpc.unary_stream_rpc_method_handler(
                self.Manifest, content.ManifestRequest.FromString,
                content.ManifestPart.SerializeToString)}
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("peer.PeerService", handlers),))

    def read(self, request, context):
        path = self.folder / request.filename
        if not path.is_file():
            context.abort(grpc.StatusCode.NOT_FOUND, "Archivo no encontrado")
        data = path.read_bytes()
        if request.content_id and request.content_id != id_of(data):
            context.abort(grpc.StatusCode.ABORTED, "El archivo ya no tiene el contenido pedido")
        return data

    def Manifest(self, request, context):
        self.manifests += 1
        data = self.read(request, context)
        yield content.ManifestPart(content_id=id_of(data), size_bytes=len(data),
                                   piece_hashes=b"".join(pieces_of(data)))

    def Part(self, request, context):
        data = self.read(request, context)
        end = min(len(data), request.offset + (request.length or len(data)))
        total = len(data)
        with self.count_lock:
            self.calls.append((request.offset, request.length))
        mine = 0
        for at in range(request.offset, end, CHUNK):
            if self.stall_after is not None and self.sent >= self.stall_after:
                self.release.wait(120)
                return
            if self.break_after is not None and mine >= self.break_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "se fue")
            part = data[at:min(at + CHUNK, end)]
            if self.lies(at):
                part = bytes(len(part))
            with self.count_lock:
                self.sent += len(part)
            mine += len(part)
            yield content.Chunk(data=part, total_bytes=total, offset=request.offset)
            total = 0
            if self.rate and self.release.wait(len(part) / self.rate):
                return


class FilesPeer(ContentPeer):
    """One that also sends many files by one call. `spoil` makes of the messages of a call, and of its
    request, others."""

    def __init__(self, folder, **options):
        self.files_calls = []  # how many files each asked for
        self.spoil = lambda parts, request, context: parts
        super().__init__(folder, **options)

    def register(self):
        super().register()
        handler = grpc.unary_stream_rpc_method_handler(
            self.Files, content.FilesRequest.FromString, content.FilesPart.SerializeToString)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("peer.PeerService", {"DownloadFiles": handler}),))

    def Files(self, request, context):
        with self.count_lock:
            self.files_calls.append(len(request.files))
        yield from self.spoil(self.parts(request), request, context)

    def parts(self, request):
        """Whole files until a message has 256 KiB."""
        part, size = content.FilesPart(), 0
        for index, wanted in enumerate(request.files):
            if size >= 256 * 1024:
                yield part
                part, size = content.FilesPart(), 0
            path = self.folder / wanted.filename.decode()
            data = path.read_bytes() if path.is_file() else None
            if data is None:
                part.files.add(index=index, code=5, reason="Archivo no encontrado")
            elif id_of(data) != wanted.content_id:
                part.files.add(index=index, code=10, reason="El archivo ya no tiene el contenido pedido")
            else:
                part.files.add(index=index, data=data)
                size += len(data)
                with self.count_lock:
                    self.sent += len(data)
        yield part


class ReferenceClient:
    """What the reference's peers do as clients. Close it, or use it in a with statement."""

    def __init__(self, address, timeout=30.0, options=()):
        self.channel = grpc.insecure_channel(address, options=options)
        self.stub = peer_rpc.PeerServiceStub(self.channel)
        self.timeout = timeout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def list_files(self):
        reply = self.stub.ListFiles(wire.Empty(), timeout=self.timeout)
        return {file.filename: file.size_bytes for file in reply.files}

    def chunks(self, name, timeout=None):
        """The call itself: an iterator of messages that can be cancelled."""
        return self.stub.DownloadFile(wire.DownloadRequest(filename=name),
                                      timeout=timeout or self.timeout)

    def download(self, name):
        return b"".join(chunk.data for chunk in self.chunks(name))

    def upload(self, name, data, chunk=CHUNK):
        def messages():
            yield wire.UploadChunk(filename=name, data=data[:chunk])
            for start in range(chunk, len(data), chunk):
                yield wire.UploadChunk(data=data[start:start + chunk])

        return self.stub.UploadFile(messages(), timeout=self.timeout)

    def upload_messages(self, messages, timeout=None):
        return self.stub.UploadFile(iter(messages), timeout=timeout or self.timeout)

    def raw(self, kind, method, timeout=None):
        """A call whose messages are bytes: kind is "unary_unary", "stream_unary", ..."""
        return getattr(self.channel, kind)(method, request_serializer=bytes,
                                           response_deserializer=bytes)


def random_bytes(size, seed=1):
    """Bytes that are the same for the same seed and look like nothing."""
    import random

    return random.Random(seed).randbytes(size)


def write_file(path, data):
    """Puts a whole file in place in one step, as a careful user would."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name[:100]}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
