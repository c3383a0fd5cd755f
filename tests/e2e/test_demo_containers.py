"""docker-compose.yml and docker/demo on a real Docker engine.

An engine that runs is used. Where none runs, root with dockerd installed starts one for these tests alone: its own socket, and
its data below build/, where the layers that take long stay for the next run. What it changes on the machine is put back.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

import harness

BASE_IMAGE = "debian:bookworm-slim"
STATE = harness.ROOT / "build" / "docker-engine"
FORWARDING = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
BRIDGE = pathlib.Path("/sys/class/net/docker0")
EMPTY_TABLES = {table: f"*{table}\n" + "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains) + "COMMIT\n"
                for table, chains in (("filter", ("INPUT", "FORWARD", "OUTPUT")),
                                      ("nat", ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")))}

# The image is built from the sources, whatever build is under test.
pytestmark = [pytest.mark.plain, pytest.mark.timeout(1500)]


def skip(reason):
    """Loud: nobody should believe that the containers were tested."""
    line = f"THE DEMO IN CONTAINERS IS NOT TESTED: {reason}"
    print(f"\n{line}", file=sys.__stderr__, flush=True)
    pytest.skip(line)


def run(*command, env, timeout=60, **more):
    return subprocess.run(command, env=env, timeout=timeout, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **more)


def reachable(env):
    return run("docker", "info", "--format", "{{.ServerVersion}}", env=env).returncode == 0


@contextlib.contextmanager
def firewall_kept():
    """dockerd writes packet filter rules, a bridge and a kernel setting, and leaves all of them behind."""
    tables = {save: subprocess.run([save], stdout=subprocess.PIPE, text=True).stdout
              for save in ("iptables-save", "ip6tables-save") if shutil.which(save)}
    forwarding, bridge = FORWARDING.read_text(), BRIDGE.exists()
    try:
        yield
    finally:
        for save, rules in tables.items():
            rules += "".join(empty for table, empty in EMPTY_TABLES.items() if f"*{table}\n" not in rules)
            subprocess.run([save.replace("save", "restore")], input=rules, text=True)
        FORWARDING.write_text(forwarding)
        if BRIDGE.exists() and not bridge:
            subprocess.run(["ip", "link", "delete", "docker0"])


@contextlib.contextmanager
def started_engine(env):
    """A dockerd of ours. One at a time: test processes that run in parallel share its data."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock, firewall_kept(), \
            tempfile.TemporaryDirectory(prefix="p2p-engine.", dir="/tmp") as runtime:
        fcntl.flock(lock, fcntl.LOCK_EX)
        env["DOCKER_HOST"] = f"unix://{runtime}/docker.sock"
        with (STATE / "dockerd.log").open("w") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--host", env["DOCKER_HOST"], "--data-root", STATE / "data", "--exec-root",
                 f"{runtime}/exec", "--pidfile", f"{runtime}/pid"], stdout=log, stderr=log, start_new_session=True)
        try:
            with contextlib.suppress(AssertionError):
                harness.wait_until(lambda: daemon.poll() is not None or reachable(env), 60, "dockerd")
            if not reachable(env):
                last = (STATE / "dockerd.log").read_text().splitlines()[-1:]
                skip(f"dockerd does not start here: {last}")
            yield
            # Leftovers of earlier sources; the layers with the packages are younger or in use.
            run("docker", "image", "prune", "--force", "--filter", "until=48h", env=env)
        finally:
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def provide_base_image(env):
    """Pulled, or made of the distribution's packages where no registry can be reached."""
    if run("docker", "image", "inspect", BASE_IMAGE, env=env).returncode == 0:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        if run("docker", "pull", BASE_IMAGE, env=env, timeout=180).returncode == 0:
            return
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        skip(f"{BASE_IMAGE} cannot be pulled, and making it needs root and debootstrap")
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as root:
        made = run("debootstrap", "--variant=minbase", "bookworm", root, env=env, timeout=600)
        if made.returncode != 0:
            skip(f"{BASE_IMAGE} can be neither pulled nor made: {made.stdout.splitlines()[-1:]}")
        result = run("bash", "-o", "pipefail", "-c",
                     'tar -C "$1" --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* -c . | docker import - "$2"',
                     "import", root, BASE_IMAGE, env=env, timeout=120)
        assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def engine():
    """The environment in which `docker` reaches an engine that has the base image."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("P2P_")}
    if not shutil.which("docker"):
        skip("there is no docker command")
    if not shutil.which("docker-compose") and run("docker", "compose", "version", env=env).returncode != 0:
        skip("there is neither docker-compose nor the compose plugin")
    with contextlib.ExitStack() as stack:
        if not reachable(env):
            if os.geteuid() != 0 or not shutil.which("dockerd"):
                skip("no Docker engine runs, and starting one needs root and dockerd")
            stack.enter_context(started_engine(env))
        provide_base_image(env)
        yield env


def compose(env, *arguments, timeout=900):
    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    return run(*command, "-f", str(harness.ROOT / "docker-compose.yml"), *arguments, env=env, timeout=timeout)


def test_the_whole_demonstration(engine):
    settings = dict(engine, P2P_DEMO_EXPIRY="9")
    result = run(harness.ROOT / "docker" / "demo", "--docker", "--check", env=settings, timeout=1200)
    assert result.returncode == 0, result.stdout
    assert "The whole demonstration went well (compose)." in result.stdout
    assert result.stdout.count("\nok  ") >= 20 and "FAILED" not in result.stdout
    names = run("docker", "ps", "--all", "--format", "{{.Names}}", env=engine).stdout.split()
    assert not {"servidor", "p1", "p2", "p3"} & set(names)


@pytest.fixture
def network(engine, tmp_path):
    """The network brought up by compose alone, on copies of the folders, peer 1's owned by a user without a name."""
    for peer in (1, 2, 3):
        shutil.copytree(harness.ROOT / f"data/dataPeer{peer}", tmp_path / f"dataPeer{peer}",
                        ignore=lambda folder, names, peer=peer: [n for n in names if f"_p{peer}." not in n])
    if os.geteuid() == 0:
        for path in [tmp_path / "dataPeer1", *(tmp_path / "dataPeer1").iterdir()]:
            os.chown(path, 4321, 4322)
    env = dict(engine, P2P_DEMO_DATA=str(tmp_path), COMPOSE_PROJECT_NAME="p2p-demo-check")
    try:
        result = compose(env, "up", "--build", "-d", timeout=1200)
        assert result.returncode == 0, result.stdout
        yield env, tmp_path
    finally:
        compose(env, "down", "--volumes")


def inspect(env, name):
    return json.loads(run("docker", "inspect", name, env=env).stdout)[0]


def healthy(env, *names):
    return all(inspect(env, name)["State"]["Health"]["Status"] == "healthy" for name in names)


DAEMON = "grep -l '^Name:.p2p-' /proc/[0-9]*/status" # run in a container, prints where its daemon's facts are


def in_container(env, name, script):
    return run("docker", "exec", name, "sh", "-c", script, env=env).stdout


def test_compose_alone(network):
    env, data = network
    harness.wait_until(lambda: healthy(env, "servidor", "p1", "p2", "p3"), 60, "four healthy containers")

    for number, name in enumerate(("servidor", "p1", "p2", "p3")):
        facts = inspect(env, name)
        port = f"{8000 + number}/tcp"
        (address,) = [net["IPAddress"] for net in facts["NetworkSettings"]["Networks"].values()]
        assert address == f"172.28.0.{number + 2}"
        assert facts["NetworkSettings"]["Ports"][port][0]["HostPort"] == str(8000 + number)
        assert facts["HostConfig"]["Init"] is True
        assert inspect(env, facts["Image"])["Size"] < 250_000_000

    # Received files belong to the folder's owner, and the daemon has that user's rights, no more.
    got = run("docker", "exec", "p1", "p2p-peer", "get", "archivo1_p2.txt", "--from", "Peer2", env=env)
    assert got.returncode == 0, got.stdout
    received = data / "dataPeer1" / "archivo1_p2.txt"
    assert received.read_bytes() == (data / "dataPeer2" / "archivo1_p2.txt").read_bytes()
    assert received.stat().st_uid == (data / "dataPeer1").stat().st_uid
    for name in ("servidor", "p1", "p2", "p3"):
        status = in_container(env, name, f"cat $({DAEMON})")
        assert "CapEff:\t0000000000000000" in status and "CapBnd:\t0000000000000000" in status, status
        assert name != "p1" or os.geteuid() != 0 or "Uid:\t4321\t" in status

    # A peer that crashes comes back by itself, and init passes the signal on that ends the four.
    in_container(env, "p2", f"kill -9 $({DAEMON} | cut -d/ -f3)")
    harness.wait_until(lambda: inspect(env, "p2")["RestartCount"] >= 1 and healthy(env, "p2"), 60, "p2's return")
    stopped = compose(env, "stop", timeout=60)
    assert stopped.returncode == 0, stopped.stdout
    codes = {name: inspect(env, name)["State"]["ExitCode"] for name in ("servidor", "p1", "p2", "p3")}
    assert codes == {"servidor": 0, "p1": 0, "p2": 0, "p3": 0}
