"""What the benchmarks are made of: programs started on loopback in folders of their own, and figures
read from them. Everything that was started is ended by its own process id."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "sd1234"
EXPIRY_SECONDS = 3600  # nobody expires while the others are measured
MIB = 1 << 20


class Failure(Exception):
    """A program did not do what it should: there is no figure."""


def environment():
    """Without settings of our programs and without proxies."""
    return {key: value for key, value in os.environ.items()
            if not key.startswith(("P2P_", "PEER_")) and not key.lower().endswith("_proxy")}


def run(*argv, stdin=None, timeout=600):
    """Runs a program to its end; its output, or a Failure."""
    result = subprocess.run([str(word) for word in argv], input=stdin, env=environment(),
                            stdin=None if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=timeout)
    if result.returncode:
        raise Failure(f"{' '.join(map(str, argv))}: exit {result.returncode}\n"
                      f"{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def seconds_of(action):
    started = time.monotonic()
    action()
    return time.monotonic() - started


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Daemon:
    """A running program; it is ready when its log matches `ready`."""

    def __init__(self, folder, name, argv, ready):
        self.name = name
        self.log_path = folder / f"{name}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([str(word) for word in argv], cwd=folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment())
        end = time.monotonic() + 20
        while not (match := re.search(ready, self.log())):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Failure(f"{name} did not become ready:\n{self.log()[-2000:]}")
            time.sleep(0.02)
        self.match = match

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def memory_mib(self, key):
        """VmRSS (now) or VmHWM (the most since the start or forget_peak)."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE).group(1)) / 1024

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class Loopback:
    """The host of what runs on this machine's own loopback."""

    address = "127.0.0.1"
    prefix = ()  # goes before a program that shall run there


class Lab:
    """Starts what is measured; `with` ends all of it. A folder that is there already is gone on with."""

    def __init__(self, build, folder):
        self.programs = build / "bin"
        self.folder = pathlib.Path(folder)
        self.daemons = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.stop()

    def make_folder(self, name):
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, *arguments):
        daemon = Daemon(*arguments)
        self.daemons.append(daemon)
        return daemon

    def stop(self, *daemons):
        for daemon in daemons:
            self.daemons.remove(daemon)
            daemon.stop()

    def directory(self, name="directory", users=("Peer1", "Peer2", "Peer3", "Peer4"),
                  address="127.0.0.1", expiry=EXPIRY_SECONDS):
        folder = self.make_folder(name)
        program = self.programs / "p2p-directory"
        for user in users:
            run(program, "user", "add", user, "--users", folder / "users", stdin=PASSWORD + "\n")
        daemon = self.start(folder, name, [
            program, "--listen", f"{address}:0", "--users", folder / "users",
            "--database", folder / "index.db", "--expiry", expiry],
            r"\bready\b.*?(http://[^\s/]+:\d+)")
        daemon.url = daemon.match.group(1)
        return daemon

    def peer(self, name, directory, host=Loopback):
        folder = self.make_folder(name)
        share = self.make_folder(f"{name}/data")
        config = folder / "peer.json"
        config.write_text(json.dumps({
            "peer_name": name, "ip": host.address, "port": 0, "directory": str(share),
            "api_url": f"{directory.url}/login", "password": PASSWORD,
            "api_search_url": f"{directory.url}/buscar_archivos",
            "state_directory": str(folder / "state"), "control_socket": str(folder / "control")}))
        daemon = self.start(folder, name, [*host.prefix, self.programs / "p2p-peer", "run",
                                           "--config", config],
                            r"\bready\b.*?((?:\d+\.){3}\d+:\d+)")
        daemon.address = daemon.match.group(1)
        daemon.share, daemon.config = share, config
        return daemon

    def command(self, peer, *arguments):
        """A command of p2p-peer, asked of that peer's daemon."""
        return run(self.programs / "p2p-peer", *arguments, "--config", peer.config)

    def nginx(self, name, locations):
        """locations: the text of nginx's server block. Paths in it may use {folder}."""
        folder = self.make_folder(name)
        (folder / "root").mkdir()
        port = free_port()
        temporary = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    client_max_body_size 0;
{temporary}
    server {{
        listen 127.0.0.1:{port};
        {locations.replace("{folder}", str(folder))}
    }}
}}
""")
        daemon = self.start(folder, name, [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder,
                                           "-e", folder / "error.log", "-c", folder / "nginx.conf"],
                            "")  # it says nothing when it is ready
        daemon.url = f"http://127.0.0.1:{port}"
        daemon.root = folder / "root"
        wait_for_port(port)
        return daemon

    def grpcio_peer(self, name):
        folder = self.make_folder(name)
        share = self.make_folder(f"{name}/data")
        daemon = self.start(folder, name,
                            ["/usr/bin/python3", "-u", GRPCIO_PEER, "serve", share],
                            r"ready at (\S+)")
        daemon.address, daemon.share = daemon.match.group(1), share
        return daemon


GRPCIO_PEER = ROOT / "tests/bench/grpcio_peer.py"


def wait_for_port(port, timeout=10):
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise Failure(f"nobody listens on port {port}") from None
            time.sleep(0.02)


def post_form(url, **fields):
    request = urllib.request.Request(url, urllib.parse.urlencode(fields).encode(), method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as reply:
        return reply.read()


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as reply:
        return reply.read()


def wrk(url, script, seconds, connections=32):
    """Requests a second; a Failure when one was not answered with success."""
    output = run("wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", script, url,
                 timeout=seconds + 60)
    if "Non-2xx" in output or "Socket errors" in output:
        raise Failure(f"wrk {url}:\n{output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
