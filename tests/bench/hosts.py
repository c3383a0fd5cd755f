"""Hosts that this machine plays: network namespaces on one bridge, each behind a link of its own rate.

Nothing of it is left behind, however the program ends: `inside` runs the program again in namespaces
of its own for network, processes and mounts. With its first process all others there are killed, and
with the last one the namespaces, and all that is in them, are gone."""

import json
import os
import pathlib
import signal
import subprocess
import sys

from lab import Failure, run

BRIDGE = "switch"
BRIDGE_ADDRESS = "10.77.0.1"
BURST_BYTES = 128 * 1024  # the least that lets whole segments of 64 KiB pass at any rate
INSIDE = "P2P_BENCH_INSIDE"


class Host:
    def __init__(self, name, address, port):
        self.name, self.address = name, address
        self.port = port  # of the bridge
        self.prefix = ("nsenter", f"--net=/run/netns/{name}", "--")

    def sent_bytes(self):
        """With all headers, since there is the host."""
        device = json.loads(run("ip", "-j", "-s", "link", "show", "dev", self.port))[0]
        return device["stats64"]["rx"]["bytes"]


def is_inside():
    return os.environ.get(INSIDE) == "yes"


def inside(argv):
    """Runs the program argv in namespaces of its own; its exit status. Only for root."""
    def interrupted(_number, _frame):
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--mount-proc",
         "--kill-child", "--", *map(str, argv)],
        env={**os.environ, INSIDE: "yes"}, start_new_session=True)  # Ctrl-C is for this process alone
    try:
        return process.wait()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        process.kill()
        process.wait()


def prepare_inside():
    """Once, by the program that `inside` runs."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")  # ip keeps the namespaces' names there
    pathlib.Path("/run/netns").mkdir()


class Network:
    """The bridge and the hosts on it; `with` removes them. This process is at BRIDGE_ADDRESS."""

    def __init__(self):
        if not is_inside():
            raise Failure("only root can make hosts with slow links: run this with sudo")
        self.hosts = []

    def __enter__(self):
        run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            run("ip", "netns", "del", host.name)
        run("ip", "link", "del", BRIDGE)

    def host(self, name, mbit):
        """A host whose link takes so many Mbit/s in each direction."""
        number = len(self.hosts) + 10
        port = f"port{number}"
        host = Host(name, f"10.77.0.{number}", port)
        run("ip", "netns", "add", name)
        self.hosts.append(host)
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", port, "master", BRIDGE, "up")
        run("ip", "-n", name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run("ip", "-n", name, "link", "set", device, "up")
        limit = ("tbf", "rate", f"{mbit}mbit", "burst", BURST_BYTES, "latency", "50ms")
        run("tc", "-n", name, "qdisc", "add", "dev", "eth0", "root", *limit)  # what it sends
        run("tc", "qdisc", "add", "dev", port, "root", *limit)  # what it receives
        return host
