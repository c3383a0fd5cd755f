"""Configuration of the peer: what is wrong is said in one line that names file and key; exit 2."""

import json
import os
import re
import socket

import pytest

import harness
from harness import PEER_PROGRAM, run_program

GOOD = {
    "peer_name": "Peer1", "ip": "127.0.0.1", "port": 0, "directory": "data",
    "api_url": "http://127.0.0.1:9/login", "api_search_url": "http://127.0.0.1:9/buscar_archivos",
    "password": "sd1234", "auth_enabled": True, "peer_urls": [], "grpc_urls": []}


def check_refused(tmp_path, config, *words):
    path = tmp_path / "peer.json"
    if config is not None:
        path.write_text(config if isinstance(config, str) else json.dumps(config))
    result = run_program(PEER_PROGRAM, "run", "--config", path, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    errors = [line for line in lines if "WARNING" not in line]
    assert len(errors) == 1, result.stderr
    assert "peer.json" in errors[0]
    for word in words:
        assert word in errors[0]


@pytest.mark.parametrize("key", ["peer_name", "port", "directory"])
def test_missing_key(tmp_path, key):
    check_refused(tmp_path, {k: v for k, v in GOOD.items() if k != key}, key)


@pytest.mark.parametrize("key, value", [
    ("peer_name", 5), ("port", "8001"), ("port", 1.5), ("directory", None), ("auth_enabled", "yes"),
    ("peer_urls", "http://x:1"), ("grpc_urls", [1]), ("password", ["x"]), ("api_url", {}),
    ("control_socket", 1), ("state_directory", False)])
def test_wrong_type(tmp_path, key, value):
    check_refused(tmp_path, {**GOOD, key: value}, key)


@pytest.mark.parametrize("key, value", [
    ("port", -1), ("port", 65536), ("port", 10**30), ("ip", "no address!"), ("ip", ""),
    ("api_url", "nonsense"), ("grpc_advertise", "no-port"), ("grpc_advertise", "host:99999"),
    ("peer_name", ""), ("grpc_urls", ["nonsense"])])
def test_value_out_of_range(tmp_path, key, value):
    check_refused(tmp_path, {**GOOD, key: value}, key)


@pytest.mark.parametrize("text", ["", "{", "[]", "nonsense", "{\"port\":1,}", "\xff", "[" * 10000,
                                  "{\"peer_name\":\"a\\u0000b\"}"])
def test_no_json(tmp_path, text):
    (tmp_path / "peer.json").write_bytes(text.encode("latin-1"))
    check_refused(tmp_path, None)


def test_missing_file(tmp_path):
    check_refused(tmp_path, None, "No such file")


def test_a_folder_in_the_files_place(tmp_path):
    (tmp_path / "peer.json").mkdir()
    check_refused(tmp_path, None)


def test_shared_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("x")
    path = tmp_path / "peer.json"
    path.write_text(json.dumps(GOOD))
    result = run_program(PEER_PROGRAM, "run", "--config", path, cwd=tmp_path)
    assert result.returncode in (1, 2)
    assert "data" in result.stderr


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_refused(tmp_path, {**GOOD, "port": port}, str(port))


def test_unknown_key_is_a_warning(net):
    peer = net.peer(future_key=5)
    warnings = [line for line in peer.log.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert "future_key" in warnings[0] and "peer.json" in warnings[0]


def test_a_reference_configuration_works(tmp_path, net):
    """The reference's keys, all of them, and none of ours; the path in PEER_CONFIG."""
    port = harness.free_port()
    directory = net.directory()
    config = {
        "peer_name": "Peer1", "ip": "127.0.0.1", "port": port,
        "directory": str(tmp_path / "new" / "data"), "api_url": f"{directory.url}/login",
        "api_search_url": f"{directory.url}/buscar_archivos", "password": "sd1234",
        "auth_enabled": True, "peer_urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
        "grpc_urls": ["127.0.0.1:3", "127.0.0.1:4"],
        "peer_amigo_titular": "http://127.0.0.1:5", "peer_amigo_suplente": "http://127.0.0.1:6"}
    path = tmp_path / "default.json"
    path.write_text(json.dumps(config))
    environment = harness.environment(PEER_CONFIG=str(path), HOME=str(tmp_path),
                                      XDG_RUNTIME_DIR=str(tmp_path), XDG_STATE_HOME=str(tmp_path))
    daemon = net._add(_Bare([PEER_PROGRAM, "run"], tmp_path, "peer", environment))
    directory.wait_for_peer("Peer1")
    assert "WARNING" not in daemon.log
    assert (tmp_path / "new" / "data").is_dir()  # made, as it was missing
    assert daemon.port == port
    status = run_program(PEER_PROGRAM, "status", env=environment, cwd=tmp_path)
    assert status.returncode == 0, status.stderr


class _Bare(harness.Daemon):
    READY = harness.Peer.READY

    def ready(self, match):
        self.port = int(match.group(2))


def test_no_configuration_says_how_to_name_one(tmp_path):
    if os.path.exists("/app/configs/default.json"):
        pytest.skip("this machine has a default configuration")
    for command in ("run", "menu", "status"):
        result = run_program(PEER_PROGRAM, command, cwd=tmp_path)
        assert result.returncode == 2
        assert "--config" in result.stderr and "PEER_CONFIG" in result.stderr, result.stderr


def test_version_and_help():
    version = run_program(PEER_PROGRAM, "--version")
    assert version.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+", version.stdout)
    usage = run_program(PEER_PROGRAM, "--help")
    assert usage.returncode == 0
    for word in ("run", "search", "get", "put", "list", "status", "menu", "--config"):
        assert word in usage.stdout


@pytest.mark.parametrize("command", [
    "search", "get", "downloads", "explain", "put", "list", "verify", "status", "limit", "menu"])
def test_help_of_a_command_explains_its_flags_and_fits(command):
    """In 80 columns, like the list of all commands."""
    told = run_program(PEER_PROGRAM, command, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    usage, _, rest = told.stdout.partition("\n\n")
    for flag in re.findall(r"--[a-z-]+", usage):
        assert re.search(rf"^  {flag}( \S+)?  +\S", rest, re.MULTILINE), flag
    lines = told.stdout.splitlines() + run_program(PEER_PROGRAM, "--help").stdout.splitlines()
    assert max(map(len, lines)) < 80


def test_an_unknown_flag_may_be_a_name():
    wrong = run_program(PEER_PROGRAM, "get", "-raya.txt")
    assert wrong.returncode == 2 and "after -- it is a name" in wrong.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run", "--nonsense"], ["run", "--config"],
                                       ["run", "extra", "words"]])
def test_wrong_use(tmp_path, arguments):
    result = run_program(PEER_PROGRAM, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr and result.stdout == ""
