"""Starts the real programs in folders of their own, waits until they are ready, and stops them.

A daemon that ends by itself, ends with a status other than 0, stops too slowly, or whose output holds
a sanitizer's report makes the test fail that started it.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import reference
from verdicts import REPORT

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("P2P_BUILD") or "build/dev")
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
DIRECTORY_PROGRAM = BUILD / "bin" / "p2p-directory"
PEER_PROGRAM = BUILD / "bin" / "p2p-peer"
PASSWORD = "sd1234"


def _sanitizer():
    try:
        cache = (BUILD / "CMakeCache.txt").read_text()
    except FileNotFoundError:
        return ""
    found = re.search(r"^P2P_SANITIZE:[A-Z]*=(.*)$", cache, re.MULTILINE)
    return found.group(1) if found else ""


SANITIZER = _sanitizer()
# How much longer things may take than in a plain build on an idle machine.
PATIENCE = {"": 1, "thread": 6}.get(SANITIZER, 3)
# Seconds by which other work of the machine may hold up anything. For what is only waited for: they
# cost nothing but in a test that fails. What must be quick is measured, and says why it may take so long.
HOLD_UP = 10
# What a daemon promises. On a busy machine a disk may hold it up once: then the test runs again, alone.
STOPS_WITHIN = 2 * PATIENCE


def amount(plain, sanitized):
    """How much of something a test does. With sanitizers the same takes several times as long, and is for
    what they see: there it is only as much as goes every way through the code that the whole amount goes.
    That the whole is borne, and in which time and memory, the plain build shows."""
    return sanitized if SANITIZER else plain


def environment(**more):
    """A clean environment for our programs."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("P2P_", "PEER_")) and not key.lower().endswith("_proxy")}
    kept.update(
        LC_ALL="C.UTF-8",
        ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
        UBSAN_OPTIONS="print_stacktrace=1",
        LSAN_OPTIONS=f"suppressions={ROOT}/tests/lsan.supp:print_suppressions=0",
        # Not a second of sleep before each exit, which is for threads that outlive main: ours are joined.
        TSAN_OPTIONS=f"suppressions={ROOT}/tests/tsan.supp:history_size=4:atexit_sleep_ms=0")
    kept.update(more)
    return kept


def wait_until(check, timeout=10.0, what="something"):
    """The first true answer of check(); fails when the time is over."""
    seconds = timeout * PATIENCE + HOLD_UP
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Daemon:
    """One running program. log is what it wrote to stderr so far."""

    def __init__(self, argv, folder, name, env=None, wait=True):
        self.name = name
        self.argv = [str(argument) for argument in argv]
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / f"{name}.log"
        self.env = env or environment()
        self.expected_end = False
        self.start(wait)

    def start(self, wait=True):
        """Starts (again)."""
        self.expected_end = False
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.argv, cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.env)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
            return self.READY.search(self.log)

        self.ready(wait_until(ready, 15, f"{self.name} to be ready"))

    @property
    def whole_log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def log(self):
        """Since the last start."""
        with self.log_path.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def terminate(self):
        """SIGTERM; the daemon must end cleanly, within its two seconds. How many it took."""
        self.expected_end = True
        started = time.monotonic()
        self.process.terminate()
        try:
            status = self.process.wait(STOPS_WITHIN + 1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop:\n{self.log[-4000:]}") from None
        assert status == 0, f"{self.name} ended with {status}:\n{self.log[-8000:]}"
        return time.monotonic() - started

    def kill(self):
        """SIGKILL: nothing is tidied up."""
        self.expected_end = True
        self.process.kill()
        self.process.wait()

    def finish(self):
        """At the end of a test: stops it and returns what was wrong, or None."""
        problem = None
        if self.running():
            try:
                self.terminate()
            except AssertionError as failure:
                problem = str(failure)
        elif not self.expected_end:
            problem = f"{self.name} ended by itself with {self.process.returncode}:\n{self.log[-8000:]}"
        if REPORT.search(self.whole_log):
            problem = f"a sanitizer's report from {self.name}:\n{self.whole_log[-20000:]}"
        return problem

    def status_value(self, key):
        """A figure of /proc/PID/status, such as VmRSS, in KiB."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE).group(1))

    def processor_seconds(self):
        """What all its threads have used so far."""
        text = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Reply({self.status}, {self.body[:500]!r})"


class Directory(Daemon):
    READY = re.compile(r"\bready\b.*?(http://[^\s/]+:(\d+))")

    def __init__(self, folder, name="directory", users=None, expiry=None, arguments=(), port=0,
                 wait=True, env=None, descriptors=None):
        folder = pathlib.Path(folder)
        self.before = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        self.users_path = folder / "users"
        self.database = folder / "p2p-directory.db"
        self.url = None
        self.port = port
        if users is not None:
            shutil.copy(users, self.users_path)
        self.arguments = ["--users", self.users_path, "--database", self.database,
                          *(["--expiry", expiry] if expiry else []), *arguments]
        super().__init__(self._argv(), folder, name, env, wait)

    def _argv(self):
        return [str(a) for a in
                [*self.before, DIRECTORY_PROGRAM, "--listen", f"127.0.0.1:{self.port}",
                 *self.arguments]]

    def ready(self, match):
        self.url = f"http://127.0.0.1:{match.group(2)}"
        self.port = int(match.group(2))

    def start(self, wait=True):
        self.argv = self._argv()  # the port that it had, so that its URL stays
        super().start(wait)

    def request(self, method, path, query=None, body=None, headers=None, timeout=10):
        if query is not None:
            path += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(self.url + path, data=body, method=method,
                                         headers=headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout * PATIENCE) as reply:
                return Reply(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as refusal:
            return Reply(refusal.code, refusal.headers, refusal.read())

    def get(self, path, **query):
        return self.request("GET", path, query or None)

    def login(self, username, password=PASSWORD, files=None, url=(), **more):
        """As the reference's peers: everything in the query string."""
        query = {"username": username, "password": password, **more}
        if files is not None:
            query["files_index"] = json.dumps([{"filename": f, "url": list(url)} for f in files])
        return self.request("POST", "/login", query)

    def peers(self):
        return self.get("/peers_activos").json["peers"]

    def files_of(self, peer):
        return sorted(entry["filename"] for entry in self.get("/ver_archivos").json["archivos"]
                      if entry["peer"] == peer)

    def sources(self, filename):
        """{peer: [address, ...]} of the live peers that share it."""
        reply = self.get("/buscar_archivos", filename=filename)
        if reply.status != 200:
            return {}
        return {entry["peer"]: entry["url"] for entry in reply.json["disponible_en"]}

    def wait_for_peer(self, name, timeout=10):
        wait_until(lambda: name in self.peers(), timeout, f"{name} to be listed")

    def wait_for_files(self, peer, names, timeout=10):
        wait_until(lambda: self.files_of(peer) == sorted(names), timeout,
                   f"{peer} to share {sorted(names)}")


def fill(path, data):
    """data: bytes, a text, or the size of a hole, which is quick and costs no disk."""
    with path.open("wb") as file:
        if isinstance(data, int):
            file.truncate(data)
        else:
            file.write(data if isinstance(data, bytes) else data.encode())


class Peer(Daemon):
    READY = re.compile(r"\bready\b.*?((?:\d+\.){3}\d+|\[[0-9a-fA-F:]+\]):(\d+)")

    def __init__(self, folder, name="Peer1", directory_url=None, files=None, share=None,
                 wait=True, env=None, **settings):
        folder = pathlib.Path(folder)
        self.share = share or folder / "data"
        self.share.mkdir(exist_ok=True)
        for file, data in (files or {}).items():
            fill(self.share / file, data)
        url = directory_url or "http://127.0.0.1:9"  # nobody listens there
        self.settings = {
            "peer_name": name, "ip": "127.0.0.1", "port": 0, "directory": str(self.share),
            "api_url": f"{url}/login", "api_search_url": f"{url}/buscar_archivos",
            "password": PASSWORD, "auth_enabled": directory_url is not None, "peer_urls": [],
            "grpc_urls": [], "state_directory": str(folder / "state"),
            "control_socket": str(folder / "control.sock")}
        self.settings.update(settings)
        self.config_path = folder / "peer.json"
        self.write_config()
        self.address = None
        super().__init__([PEER_PROGRAM, "run", "--config", self.config_path], folder, name, env, wait)

    def write_config(self):
        self.config_path.write_text(json.dumps(
            {key: value for key, value in self.settings.items() if value is not None}))

    def ready(self, match):
        self.port = int(match.group(2))
        self.address = f"127.0.0.1:{self.port}"

    def client(self, **options):
        return reference.ReferenceClient(self.address, timeout=30 * PATIENCE, **options)

    def command(self, *arguments, timeout=30, stdin=None, **options):
        """Runs p2p-peer with the arguments and this peer's configuration; a CompletedProcess."""
        name, *rest = arguments  # the flag before the words: there may be a "--" among those
        return run_program(PEER_PROGRAM, name, "--config", self.config_path, *rest, timeout=timeout,
                           stdin=stdin, cwd=self.folder, **options)

    def names(self):
        """Every name in the shared folder, hidden ones too."""
        return sorted(os.listdir(self.share))


def run_program(program, *arguments, timeout=30, stdin=None, env=None, cwd=None, text=True):
    """Runs a program to its end. Its stdin is empty unless given."""
    result = subprocess.run([str(program), *map(str, arguments)], cwd=cwd, input=stdin,
                            stdin=None if stdin is not None else subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text,
                            env=env or environment(), timeout=timeout * PATIENCE)
    output = result.stderr if text else result.stderr.decode(errors="replace")
    assert not REPORT.search(output), output
    assert result.returncode >= 0, f"ended by signal {-result.returncode}: {output}"
    return result


def add_user(users_path, name, password=PASSWORD):
    result = run_program(DIRECTORY_PROGRAM, "user", "add", name, "--users", users_path,
                         stdin=password + "\n")
    assert result.returncode == 0, result.stderr


class Network:
    """Makes the daemons of one test, each in a folder of its own, and ends them all."""

    def __init__(self, folder, users):
        self.folder = pathlib.Path(folder)
        self.users = users
        self.running = []
        self.count = 0

    def _folder(self, name):
        self.count += 1
        folder = self.folder / f"{self.count}-{name}"
        folder.mkdir()
        return folder

    def _add(self, item):
        self.running.append(item)
        return item

    def directory(self, users=True, **options):
        """users: True for Peer1 to Peer4, or the path of a users file, or None for no file."""
        path = self.users() if users is True else users
        return self._add(Directory(self._folder("directory"), users=path, **options))

    def peer(self, name="Peer1", directory=None, **options):
        """directory: one of ours, one of the reference's, an URL, or None for a peer without."""
        url = getattr(directory, "url", directory)
        return self._add(Peer(self._folder(name), name, url, **options))

    def reference_directory(self, **options):
        return self._add(reference.ReferenceDirectory(**options))

    def reference_peer(self, kind=reference.ReferencePeer, files=None, **options):
        folder = self._folder("reference-peer")
        for file, data in (files or {}).items():
            (folder / file).write_bytes(data if isinstance(data, bytes) else data.encode())
        return self._add(kind(folder, **options))

    def finish(self):
        problems = []
        for item in reversed(self.running):
            if isinstance(item, Daemon):
                problems.append(item.finish())
            else:
                item.stop()
        problems = [problem for problem in problems if problem]
        assert not problems, "\n\n".join(problems)

    def show_logs(self):
        """What the daemons said, for the report of a failed test."""
        for item in self.running:
            if isinstance(item, Daemon):
                print(f"--- {item.name} (in {item.folder})\n{item.whole_log[-6000:]}")
