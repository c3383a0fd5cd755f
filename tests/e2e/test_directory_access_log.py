"""The access log: what it says, what it never says, and that it holds up nobody."""

import os
import re
import signal
import socket

from harness import DIRECTORY_PROGRAM, PASSWORD, run_program, wait_until
from test_directory_outside import read_metrics, value

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) (\d{3}) \d+\.\d{6} (\S+) (.+)")


def lines(path):
    return [LINE.fullmatch(line).groups() for line in path.read_text().splitlines()]


def test_none_by_default(directory):
    directory.get("/")
    assert sorted(name.name for name in directory.folder.iterdir() if "access" in name.name) == []


def test_a_line_a_request_and_no_secret(net, tmp_path):
    path = tmp_path / "access.log"
    directory = net.directory(arguments=["--access-log", path])
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    token = directory.login("Peer1", files=["a"]).json["token"]
    directory.login("Peer1", password="wr0ng")
    directory.request("POST", "/login", body=f"username=Peer1&password={PASSWORD}".encode(),
                      headers={"Content-Type": "application/x-www-form-urlencoded"})
    directory.request("POST", "/login?username=Peer1", headers={"Authorization": "Bearer " + token})
    directory.get("/buscar_archivos", filename="secreto.txt")
    directory.request("GET", "/x%0Ay%1b[2J%20z")
    for target in (f"/login?password={PASSWORD}&x=" + "a" * 66000, f"http://u:{PASSWORD}@h/login"):
        with socket.create_connection(("127.0.0.1", directory.port), 30) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            while connection.recv(65536):
                pass
    wait_until(lambda: path.read_text().count("\n") == 8, 10, "all lines")
    # Those that came at one time may stand in any order: each loop has its own.
    got = sorted(row[1:] for row in lines(path))
    odd = [row for row in got if row[2].startswith("/x")]
    assert sorted(set(got) - set(odd)) == [
        ("200", "POST", "/login"), ("401", "POST", "/login"), ("404", "GET", "/buscar_archivos"),
        ("405", "GET", "-"), ("414", "GET", "-")]
    assert len(odd) == 1 and "\x1b" not in odd[0][2]
    assert {row[0] for row in lines(path)} == {"127.0.0.1"}
    text = path.read_text()
    for secret in (PASSWORD, "wr0ng", token, "secreto", "username"):
        assert secret not in text


def test_it_is_opened_again(net, tmp_path):
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    directory = net.directory(arguments=["--access-log", path])
    directory.get("/peers_activos")
    wait_until(lambda: lines(path), 10, "the first line")
    path.rename(old)
    directory.signal(signal.SIGHUP)
    wait_until(path.exists, 10, "the new file")
    directory.get("/ver_archivos")
    wait_until(lambda: lines(path), 10, "a line in the new file")
    assert [row[3] for row in lines(old)] == ["/peers_activos"]
    assert [row[3] for row in lines(path)] == ["/ver_archivos"]
    directory.get("/")
    directory.terminate()  # what was answered is written
    assert [row[3] for row in lines(path)] == ["/ver_archivos", "/"]


def test_nobody_waits_for_it(net, tmp_path):
    """A pipe that nobody empties: requests go on, lines are left out and counted."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        directory = net.directory(arguments=["--access-log", path])

        def dropped():
            for _ in range(100):
                assert directory.get("/healthz").status == 200
            return value(read_metrics(directory), "p2p_directory_access_log_dropped_total") > 0

        wait_until(dropped, 60, "lines to be left out")
        assert "cannot write the access log" in directory.log
        directory.terminate()
    finally:
        os.close(reader)


def test_a_file_that_cannot_be_opened(tmp_path):
    done = run_program(DIRECTORY_PROGRAM, "--listen", "127.0.0.1:0", "--database", tmp_path / "db",
                       "--access-log", tmp_path / "no" / "file")
    assert done.returncode == 2 and "access_log" in done.stderr and "No such file" in done.stderr
