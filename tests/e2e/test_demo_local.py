"""docker/demo with the four nodes as processes of this machine."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

import harness

EXPIRY = 6 * harness.PATIENCE


def free_ports():
    """The first of four free ports in a row: the directory's and the three peers'."""
    for base in range(21000 + os.getpid() % 5000, 32000, 4):
        sockets = [socket.socket() for _ in range(4)]
        try:
            for offset, one in enumerate(sockets):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no four free ports in a row")


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the demo needs, so that nothing is received into the real data folders."""
    for name in ("docker", "data"):
        shutil.copytree(harness.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("state"))
    return tmp_path


@pytest.fixture
def settings(tmp_path):
    """The demo's environment: free ports, a short expiry, the programs under test, its own TMPDIR."""
    return harness.environment(P2P_DEMO_PORT=str(free_ports()), P2P_DEMO_EXPIRY=str(EXPIRY),
                               P2P_DEMO_BIN=str(harness.BUILD / "bin"))


def demo(top, *arguments, settings, stdin="", timeout=300):
    return subprocess.run([top / "docker" / "demo", *arguments], env=settings, input=stdin, text=True, cwd=top,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)


def processes_with(word):
    """Command lines of the processes that mention a word in their arguments or environment."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes()
            if word.encode() in arguments + (entry / "environ").read_bytes():
                found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return found


@pytest.mark.timeout(600)
def test_the_whole_demonstration(settings):
    result = demo(harness.ROOT, "--local", "--check", settings=settings)
    assert result.returncode == 0, result.stdout
    assert "The whole demonstration went well (local)." in result.stdout
    assert result.stdout.count("\nok  ") >= 20 and "FAILED" not in result.stdout
    assert not processes_with(f"127.0.0.1:{settings['P2P_DEMO_PORT']}")


@pytest.mark.plain
@pytest.mark.timeout(900)
def test_it_builds_what_it_runs(settings):
    del settings["P2P_DEMO_BIN"]
    result = demo(harness.ROOT, "--local", "--check", settings=settings, timeout=800)
    assert result.returncode == 0, result.stdout


@pytest.mark.timeout(300)
def test_the_menu_twice(checkout, settings):
    """The second run finds the users, the index and the received file of the first."""
    for peer in (2, 3):
        result = demo(checkout, "--local", settings=settings, stdin=f"1\narchivo1_p{peer}.txt\n1\n0\n")
        assert result.returncode == 0, result.stdout
        assert f"1. Peer: Peer{peer} - Dirección gRPC: 127.0.0.1:" in result.stdout
        assert "Saliendo del menú." in result.stdout
    assert (checkout / "data/state/users").stat().st_mode & 0o777 == 0o600
    assert not processes_with(f"127.0.0.1:{settings['P2P_DEMO_PORT']}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_ends_what_it_started(checkout, settings, number):
    log = checkout / "demo.log"
    with log.open("wb") as output:
        # A process group of its own, as a terminal's Ctrl-C reaches the whole of it.
        running = subprocess.Popen([checkout / "docker" / "demo", "--local"], env=settings, cwd=checkout,
                                   stdin=subprocess.PIPE, stdout=output, stderr=output, process_group=0,
                                   preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
        try:
            harness.wait_until(lambda: "Seleccione una opci" in log.read_text(), 60, "the menu")
            os.killpg(running.pid, number)
            status = running.wait(20)
        finally:
            running.stdin.close()
            if running.poll() is None:
                running.terminate()
                running.wait(20)
    assert status in (128 + number, 143), log.read_text()
    assert not processes_with(str(checkout))
    scratch = re.search(r"/tmp/p2p-demo\.\w+", log.read_text())
    assert scratch and not os.path.exists(scratch.group(0))


def test_interrupted_it_ends_the_build(checkout, settings):
    """cmake is a stand-in that takes long, as a build does, and has a child, as a build has."""
    del settings["P2P_DEMO_BIN"]
    tools = checkout / "tools"
    tools.mkdir()
    (tools / "cmake").write_text(f"#!/bin/sh\ntouch {checkout}/started\nsleep 1000\n")
    (tools / "cmake").chmod(0o755)
    settings["PATH"] = f"{tools}:{settings['PATH']}"
    running = subprocess.Popen([checkout / "docker" / "demo", "--local"], env=settings, stdin=subprocess.DEVNULL)
    try:
        harness.wait_until((checkout / "started").exists, 60, "the build")
    finally:
        running.terminate()
        status = running.wait(20)
    assert status == 143
    assert not processes_with(str(checkout))


def test_a_taken_port_is_named(checkout, settings):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(settings["P2P_DEMO_PORT"]) + 2))
        taken.listen()
        result = demo(checkout, "--local", "--check", settings=settings)
    assert result.returncode == 1
    assert f"port {int(settings['P2P_DEMO_PORT']) + 2} of this machine is taken, and p2 needs it" in result.stdout


@pytest.mark.parametrize("name, value", [("P2P_DEMO_PORT", "x"), ("P2P_DEMO_PORT", "65533"), ("P2P_DEMO_PORT", "0"),
                                         ("P2P_DEMO_EXPIRY", "0"), ("P2P_DEMO_BIN", "/nonexistent")])
def test_wrong_settings_are_named(checkout, settings, name, value):
    settings[name] = value
    result = demo(checkout, "--local", "--check", settings=settings)
    assert result.returncode == 1
    assert value in result.stdout


def test_usage(checkout, settings):
    assert demo(checkout, "--help", settings=settings).returncode == 0
    assert demo(checkout, "--never", settings=settings).returncode == 2


def test_without_an_engine_it_says_so(checkout, settings):
    settings["DOCKER_HOST"] = f"unix://{checkout}/none.sock"
    result = demo(checkout, "--docker", "--check", settings=settings)
    assert result.returncode == 1
    assert "no docker command" in result.stdout or "no Docker engine" in result.stdout


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_scripts_pass_shellcheck():
    folder = harness.ROOT / "docker"
    scripts = [path for path in folder.rglob("*") if path.is_file() and
               (path.suffix == ".sh" or path.read_bytes().startswith((b"#!/bin/sh", b"#!/bin/bash")))]
    result = subprocess.run(["shellcheck", "-x", *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
