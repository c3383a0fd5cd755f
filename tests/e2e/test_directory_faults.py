"""Bad input, slow and many clients, ends of all kinds: the directory says what is wrong and goes on."""

import json
import os
import pathlib
import resource
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import pytest

import harness
from harness import PATIENCE, wait_until

INDEX = {"username": "Peer1", "password": "sd1234"}


def dial(directory, timeout=30):
    connection = socket.create_connection(("127.0.0.1", directory.port), timeout * PATIENCE)
    return connection


def answer(connection):
    """Status and body of the one reply, read to the connection's end."""
    data = b""
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                break
            data += part
    except ConnectionResetError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, body


def send(directory, data):
    with dial(directory) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer(connection)


def get(directory, target):
    return send(directory, b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")


def alive(directory):
    return directory.get("/").status == 200


# ---- HTTP ----

def test_long_urls_of_the_reference(directory):
    """Up to 64 KiB they work; longer ones get a clear answer."""
    files = [f"a file with a longer name, number {i}.txt" for i in range(620)]
    query = urllib.parse.urlencode({**INDEX, "files_index": json.dumps(
        [{"filename": name, "url": []} for name in files])})
    assert 60000 < len(query) < 65000
    assert directory.request("POST", "/login?" + query).status == 200
    assert len(directory.files_of("Peer1")) == 620


def test_url_too_long(directory):
    status, body = get(directory, b"/x?" + b"a" * 66000)
    assert status == 414 and json.loads(body) == {"detail": "La URL es demasiado larga"}
    for size in (90000, 2_000_000):
        status, _ = get(directory, b"/x?" + b"a" * size)
        assert status in (414, None)  # None: closed while we were still sending
    assert alive(directory)


def test_header_flood(directory):
    head = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(
        b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(2000))
    assert send(directory, head + b"\r\n")[0] in (431, None)
    head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: "
    assert send(directory, head + b"y" * 75000 + b"\r\n\r\n")[0] in (200, 431)
    assert alive(directory)


@pytest.mark.parametrize("head", [
    b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000\r\nExpect: 100-continue\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"])
def test_body_too_large_is_refused_at_once(directory, head):
    status, body = send(directory, head)
    assert status == 413 and "detail" in json.loads(body)


def test_body_too_large_is_told_after_it_was_sent(directory):
    reply = directory.request("POST", "/login", body=b"x" * (65 << 20), timeout=60)
    assert reply.status == 413 and "detail" in reply.json
    assert alive(directory)


@pytest.mark.parametrize("target", [
    b"/buscar_archivos?filename=%", b"/buscar_archivos?filename=%4", b"/buscar_archivos?filename=%zz",
    b"/buscar_archivos?x=%&filename=a", b"/%zz", b"/peers_activos?limit=%", b"/ver_archivos?a=%x"])
def test_broken_percent_encoding(directory, target):
    status, body = get(directory, target)
    assert status == 400 and json.loads(body) == {"detail": "Codificación por ciento inválida"}


@pytest.mark.parametrize("name", [b"%ff", b"a%00b", b"a%2fb", b"/", b"..", b".", b"a%0ab", b"%1b[31m",
                                  b"%c2%9b", b"\xff", b"x" * 256])
def test_bad_names(directory, name):
    status, body = get(directory, b"/buscar_archivos?filename=" + name)
    assert status == 400
    assert json.loads(body)["detail"].startswith("Nombre de archivo inválido")


NO_REQUESTS = [
    b"\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"\0" * 1000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]


def test_bytes_that_are_no_request(directory):
    """All at once: what could still become a request is waited for, 15 s."""
    connections = [dial(directory) for _ in NO_REQUESTS]
    for connection, data in zip(connections, NO_REQUESTS):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    for connection, data in zip(connections, NO_REQUESTS):
        with connection:
            status, _ = answer(connection)
        assert status is None or status >= 400, data
    assert alive(directory)


def test_a_hundred_thousand_files_in_one_index(directory):
    count = harness.amount(100000, 20000)
    files = json.dumps([{"filename": f"file {i}.txt", "url": ["10.0.0.1:8001"]} for i in range(count)])
    body = urllib.parse.urlencode({**INDEX, "files_index": files}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        assert directory.request("POST", "/login", body=body, headers=headers, timeout=60).status == 200
    assert directory.sources(f"file {count - 1}.txt") == {"Peer1": ["10.0.0.1:8001"]}
    assert len(directory.request("GET", "/ver_archivos", timeout=60).json["archivos"]) == count
    body = json.dumps({**INDEX, "files_index": [{"filename": "one"}]}).encode()
    assert directory.request("POST", "/login", body=body, headers={"Content-Type": "application/json"},
                             timeout=60).status == 200
    assert directory.files_of("Peer1") == ["one"]


@pytest.mark.plain
def test_a_long_list_takes_constant_memory(directory):
    files = json.dumps([{"filename": f"{i:0200}", "url": []} for i in range(100000)])
    body = urllib.parse.urlencode({**INDEX, "files_index": files}).encode()
    assert directory.request("POST", "/login", body=body, timeout=60, headers={
        "Content-Type": "application/x-www-form-urlencoded"}).status == 200
    directory.terminate()
    directory.start()
    sizes = [0]

    def has_loaded():  # the names' ids, which it does after its start
        sizes.append(directory.status_value("RssAnon"))
        time.sleep(0.5)
        return sizes[-1] == sizes[-2]

    wait_until(has_loaded, PATIENCE, "memory that stays the same")
    before = directory.status_value("RssAnon")
    assert len(directory.get("/ver_archivos").body) > 20_000_000
    assert directory.status_value("RssAnon") - before < 8192


def test_a_list_that_nobody_reads_holds_up_nobody(directory):
    for peer in ("Peer1", "Peer2"):
        directory.login(peer, files=[])
    files = json.dumps([{"filename": f"{i:0200}", "url": []}
                        for i in range(harness.amount(50000, 30000))])  # more than a socket takes
    body = urllib.parse.urlencode({**INDEX, "files_index": files}).encode()
    directory.request("POST", "/login", body=body, timeout=60, headers={
        "Content-Type": "application/x-www-form-urlencoded"})
    readers = [dial(directory) for _ in range(20)]
    for reader in readers:
        reader.sendall(b"GET /ver_archivos HTTP/1.1\r\nHost: h\r\n\r\n")
        reader.recv(1)
    for i in range(50):
        assert directory.login("Peer2", files=[f"new{i}"]).status == 200
        assert directory.sources(f"new{i}") == {"Peer2": []}
    for reader in readers:
        reader.close()


# ---- slow and many ----

def test_slow_senders_are_closed_and_idle_ones_too(directory):
    """A byte every few seconds does not keep a connection; a whole request must arrive in 15 s."""
    def trickle_body(connection):
        connection.sendall(b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")

    starts = {"idle": lambda c: None, "head": lambda c: c.sendall(b"GET / HTTP/1.1\r\nX: "),
              "body": trickle_body,
              "after a reply": lambda c: (c.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), c.recv(9999))}
    began = time.monotonic()
    connections = {name: dial(directory) for name in starts}
    for name, connection in connections.items():
        starts[name](connection)
        connection.setblocking(False)
    closed = {}
    while len(closed) < len(connections) and time.monotonic() - began < 60:
        time.sleep(0.5)
        for name, connection in connections.items():
            if name in closed:
                continue
            try:
                if name != "idle" and name != "after a reply" and int(time.monotonic() - began) % 3 == 0:
                    connection.send(b"y")
                if connection.recv(1) == b"":
                    closed[name] = time.monotonic() - began
            except BlockingIOError:
                pass
            except OSError:
                closed[name] = time.monotonic() - began
        assert alive(directory)
    assert sorted(closed) == sorted(starts)
    for name, after in closed.items():
        assert 13 < after < 25, name


def test_two_thousand_idle_and_slow_connections(directory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    connections = []
    try:
        for i in range(2000):
            connection = dial(directory)
            if i % 2:
                connection.sendall(b"GET /peers_activos HTTP/1.1\r\nX-Slow: ")
            connections.append(connection)
        for i in range(20):
            began = time.monotonic()
            assert directory.login("Peer1", files=[f"f{i}"]).status == 200
            assert directory.sources(f"f{i}") == {"Peer1": []}
            assert time.monotonic() - began < 6 * PATIENCE  # far less than the others may take
        wait_until(lambda: directory.descriptors() < 100, 30, "them to be closed")
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_logins_at_once(directory):
    """Each waits for a commit; all are answered, by few commits."""
    failures = []

    def work(number):
        for i in range(40):
            reply = directory.login(f"Peer{number % 4 + 1}", files=[f"{number}-{i}"])
            if reply.status != 200:
                failures.append(reply)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(directory.files_of(f"Peer{n}")) for n in range(1, 5)] == [1, 1, 1, 1]


def test_pipelined_requests(directory):
    directory.login("Peer1", files=["F"])
    request = b"POST /login?username=Peer1&password=sd1234&files_index=%5B%5D HTTP/1.1\r\nHost: h\r\n\r\n"
    search = b"GET /peers_activos HTTP/1.1\r\nHost: h\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with dial(directory) as connection:
        connection.sendall((request + search) * 20 + last)
        data = connection.makefile("rb").read()
    assert data.count(b"HTTP/1.1 200 OK") == 41


def test_clients_that_vanish(directory):
    for i in range(50):
        connection = dial(directory)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"POST /login?username=Peer1&password=wrong%d HTTP/1.1\r\nHost: h\r\n\r\n" % i)
        connection.close()
    connection = dial(directory)
    connection.sendall(b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nuser")
    connection.close()
    wait_until(lambda: directory.login("Peer1").status == 200, 20, "the queue of passwords")


# ---- ends and restarts ----

def check_integrity(directory):
    with sqlite3.connect(directory.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_kill_9_loses_nothing_that_was_acknowledged(directory):
    acknowledged = {}
    going = True

    def work(peer):
        number = 0
        while going:
            files = sorted(f"{peer} {number} {i}" for i in range(number % 7 + 1))
            try:
                if directory.login(peer, files=files, url=["h:1"]).status == 200:
                    acknowledged[peer] = (number, files)
            except OSError:
                return
            number += 1

    for _ in range(3):
        going = True
        acknowledged.clear()
        threads = [threading.Thread(target=work, args=(f"Peer{n}",)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) == 4, 20, "the first logins")
        time.sleep(0.5)
        directory.kill()
        going = False
        for thread in threads:
            thread.join()
        check_integrity(directory)
        directory.start()
        for peer, (number, files) in acknowledged.items():
            found = directory.files_of(peer)
            # The one after it may have been stored without its answer reaching us.
            following = sorted(f"{peer} {number + 1} {i}" for i in range((number + 1) % 7 + 1))
            assert found in (files, following)
        assert sorted(directory.peers()) == ["Peer1", "Peer2", "Peer3", "Peer4"]


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_restart_forgets_nobody(net, how):
    expiry = 5 + PATIENCE
    directory = net.directory(expiry=expiry)
    tokens = {}
    began = time.monotonic()
    for peer in ("Peer3", "Peer1", "Peer2"):
        tokens[peer] = directory.login(peer).json["token"]
    time.sleep(2)
    directory.login("Peer1")
    getattr(directory, how)()
    before = time.monotonic() - began
    time.sleep(1)
    again = time.monotonic()
    directory.start()
    assert directory.peers() == ["Peer3", "Peer1", "Peer2"]
    assert directory.login("Peer1").json["token"] == tokens["Peer1"]

    def only_one_is_left():
        directory.login("Peer1")
        return directory.peers() == ["Peer1"]

    # The others keep the time that they had left, or a little more after the last write.
    wait_until(only_one_is_left, expiry, "the others to expire")
    assert time.monotonic() - again > expiry - before - 0.1


def test_an_outage_does_not_count_even_when_the_next_start_is_cut_short(net):
    expiry = 5 + PATIENCE
    directory = net.directory(expiry=expiry)
    directory.login("Peer1")
    time.sleep(1.5)  # a tick writes it behind
    directory.kill()
    time.sleep(expiry + 1)
    directory.start()
    directory.login("Peer2")
    directory.kill()  # before the first tick
    directory.start()
    assert directory.peers() == ["Peer1", "Peer2"]


def test_a_peer_is_remembered_from_its_first_login_on(directory):
    directory.login("Peer1")
    directory.kill()
    directory.start()
    assert directory.peers() == ["Peer1"]


def test_who_is_away_stays_away(net):
    directory = net.directory(expiry=1)
    directory.login("Peer1", files=["F"])
    wait_until(lambda: directory.peers() == [], 5, "the expiry")
    directory.terminate()
    directory.start()
    assert directory.peers() == []
    assert directory.files_of("Peer1") == ["F"]
    directory.login("Peer1")
    assert directory.sources("F") == {"Peer1": []}


def test_expiry(net):
    directory = net.directory(expiry=3)
    directory.login("Peer1", files=["F"])
    began = time.monotonic()
    directory.login("Peer2", files=["F"])

    def only_one_is_left():
        directory.login("Peer1")
        return directory.peers() == ["Peer1"]

    wait_until(only_one_is_left, 6, "Peer2 to expire")
    assert time.monotonic() - began >= 3
    assert directory.sources("F") == {"Peer1": []}
    gone = "[API] Peer 'Peer2' se ha desconectado por inactividad"
    wait_until(lambda: gone in directory.log, what="it to be told")
    assert directory.log.count(gone) == 1
    directory.login("Peer2")
    assert directory.peers() == ["Peer1", "Peer2"]
    assert directory.log.count("[API] Peer 'Peer2' se ha autenticado en la red") == 2


def test_stops_quickly_under_load(directory):
    going = True

    def work():
        number = 0
        while going:
            try:
                directory.login("Peer1", files=[f"{number}"])
                directory.login("Peer1", "wrong")
            except OSError:
                pass
            number += 1

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    took = directory.terminate()
    going = False
    for thread in threads:
        thread.join()
    assert took < harness.STOPS_WITHIN
    check_integrity(directory)


def test_sigint_stops_too(directory):
    directory.expected_end = True
    directory.signal(signal.SIGINT)
    assert directory.process.wait(2 * PATIENCE + 1) == 0


# ---- users ----

def test_users_are_read_again(directory, tmp_path):
    assert directory.login("Peer1").status == 200
    assert directory.login("New", "secret").status == 401
    harness.add_user(directory.users_path, "New", "secret")
    harness.run_program(harness.DIRECTORY_PROGRAM, "user", "remove", "Peer1", "--users",
                        directory.users_path)
    directory.signal(signal.SIGHUP)
    wait_until(lambda: directory.login("New", "secret").status == 200, 5, "the new user")
    assert directory.login("Peer1").status == 401
    assert directory.login("Peer2").status == 200


def test_a_changed_password_counts_at_once(directory):
    assert directory.login("Peer1").status == 200
    harness.add_user(directory.users_path, "Peer1", "another")
    directory.signal(signal.SIGHUP)
    wait_until(lambda: directory.login("Peer1", "another").status == 200, 5, "the new password")
    assert directory.login("Peer1").status == 401


@pytest.mark.parametrize("text", ["Peer1:sd1234\n", "nonsense\n", "a:\xff\n", None])
def test_a_broken_users_file_changes_nothing(directory, text):
    if text is None:
        directory.users_path.unlink()
    else:
        directory.users_path.write_text(text, encoding="latin-1")
    directory.signal(signal.SIGHUP)
    wait_until(lambda: "users stay as they were" in directory.log, 5, "the error")
    assert str(directory.users_path) in directory.log
    assert directory.login("Peer1").status == 200


def test_without_a_users_file(net):
    directory = net.directory(users=None)
    assert directory.login("Peer1").status == 401
    assert "nobody can log in" in directory.log and "user add" in directory.log


@pytest.mark.plain  # a figure
def test_a_wrong_password_takes_as_long_as_an_unknown_user(directory):
    directory.login("Peer1")

    def seconds(name):
        began = time.monotonic()
        assert directory.login(name, "wrong").status == 401
        return time.monotonic() - began

    # The fastest of each: what the machine does besides only makes some of them slower.
    times = [(seconds("Peer1"), seconds("Nobody")) for _ in range(10)]
    known, unknown = map(min, zip(*times))
    assert 0.6 < known / unknown < 1.7  # without the hash it would be a hundredth


def test_user_commands(tmp_path):
    users = tmp_path / "users"

    def run(*arguments, stdin=""):
        return harness.run_program(harness.DIRECTORY_PROGRAM, "user", *arguments, "--users", users,
                                   stdin=stdin)

    assert run("add", "Ana", stdin="uno\n").returncode == 0
    assert run("add", "Bo", stdin="dos").returncode == 0
    assert run("list").stdout == "Ana\nBo\n"
    assert users.stat().st_mode & 0o777 == 0o600
    assert "uno" not in users.read_text() and "$argon2id$" in users.read_text()
    assert run("remove", "Ana").returncode == 0
    assert run("list").stdout == "Bo\n"
    assert run("remove", "Ana").returncode == 3
    assert run("add", "a:b", stdin="x\n").returncode == 1
    assert run("add", "Eva", stdin="").returncode == 1
    assert run("add", "Eva", stdin="\n").returncode == 1
    assert run("list").stdout == "Bo\n"
    for wrong in (["add"], [], ["drop", "x"], ["list", "x"]):
        assert run(*wrong).returncode == 2


def test_generated_passwords(directory):
    """They are shown once, and good at once; others' wrong ones take as long as ever."""
    def run(*arguments, stdin=""):
        return harness.run_program(harness.DIRECTORY_PROGRAM, "user", *arguments, "--users",
                                   directory.users_path, stdin=stdin)

    one = run("add", "Ana", "--generate")
    many = run("add", "--generate", "-", stdin="Bo\r\n\nñandú x\nPeer2")
    assert one.returncode == many.returncode == 0
    passwords = dict(line.split(":") for line in (one.stdout + many.stdout).splitlines())
    assert list(passwords) == ["Ana", "Bo", "ñandú x", "Peer2"]
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in passwords.values())
    text = directory.users_path.read_text()
    assert not any(password in text for password in passwords.values())
    assert run("list").stdout == "Peer1\nPeer2\nPeer3\nPeer4\nAna\nBo\nñandú x\n"
    assert run("add", "-", "--generate", stdin="Eva\na:b\n").returncode == 1
    for wrong in (["remove", "Ana", "--generate"], ["list", "--generate"], ["add", "--generate"]):
        assert run(*wrong).returncode == 2
    assert run("list").stdout.count("\n") == 7
    directory.process.send_signal(signal.SIGHUP)
    harness.wait_until(lambda: "users read again: 7" in directory.log, 10, "the users")
    for name, password in passwords.items():
        assert directory.login(name, password).status == 200
        assert directory.login(name, password[:-1] + "x").status == 401
    assert directory.login("Peer2").status == 401
    assert directory.login("Peer1").status == 200


# ---- configuration ----

def start_wrong(*arguments, env=None, cwd=None):
    result = harness.run_program(harness.DIRECTORY_PROGRAM, *arguments, env=env, cwd=cwd)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("text, says", [
    ('{"expiry": "x"}', "expiry"), ('{"expiry": 0}', "expiry"), ('{"listen": 8000}', "listen"),
    ('{"listen": "x"}', "listen"), ('{"database": ""}', "database"), ("[]", "object"), ("{", "JSON"),
    ('{"log_level": "loud"}', "log_level"), ("", "JSON")])
def test_wrong_configuration(tmp_path, text, says):
    path = tmp_path / "directory.json"
    path.write_text(text)
    for more in ([], ["--check-config"]):
        line = start_wrong("--config", path, *more, cwd=tmp_path)
        assert str(path) in line and says in line


def test_configuration_that_is_not_there(tmp_path):
    assert "nothing.json" in start_wrong("--config", tmp_path / "nothing.json", cwd=tmp_path)
    assert str(tmp_path) in start_wrong("--config", tmp_path, cwd=tmp_path)
    assert "P2P_DIRECTORY_EXPIRY" in start_wrong(env=harness.environment(P2P_DIRECTORY_EXPIRY="x"),
                                                 cwd=tmp_path)


def test_good_configuration(tmp_path):
    path = tmp_path / "directory.json"
    path.write_text('{"expiry": 5, "listen": "127.0.0.1:0", "colour": "red"}')
    result = harness.run_program(harness.DIRECTORY_PROGRAM, "--config", path, "--check-config",
                                 cwd=tmp_path)
    assert result.returncode == 0 and "colour" in result.stderr
    assert os.listdir(tmp_path) == ["directory.json"]


def test_version_and_help():
    version = harness.run_program(harness.DIRECTORY_PROGRAM, "--version")
    assert version.returncode == 0 and version.stdout.startswith("p2p-directory ")
    text = harness.run_program(harness.DIRECTORY_PROGRAM, "--help").stdout
    for flag in ("--config", "--listen", "--database", "--users", "--expiry", "--log-level",
                 "--check-config", "--version", "--help"):
        assert flag in text


def test_port_in_use(directory, tmp_path):
    line = start_wrong("--listen", f"127.0.0.1:{directory.port}", cwd=tmp_path)
    assert "listen" in line and str(directory.port) in line


def test_broken_users_file_at_start(tmp_path):
    (tmp_path / "users").write_text("Peer1:plain\n")
    line = start_wrong("--listen", "127.0.0.1:0", "--users", "users", cwd=tmp_path)
    assert "users" in line and "line 1" in line


# ---- the database ----

def foreign_sqlite(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine(x)")
    database.commit()
    database.close()


def damaged(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA application_id=1345474628")
    database.execute("PRAGMA user_version=1")
    database.execute("CREATE TABLE peers(id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany("INSERT INTO peers(name) VALUES(?)", [("x" * 500,)] * 200)
    database.commit()
    database.close()
    data = bytearray(path.read_bytes())
    data[8192:20000] = b"\xee" * (20000 - 8192)
    path.write_bytes(data)


def newer(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA application_id=1345474628")
    database.execute("PRAGMA user_version=99")
    database.execute("CREATE TABLE peers(id)")
    database.commit()
    database.close()


@pytest.mark.parametrize("make", [
    lambda path: path.write_text("these are somebody's notes\n" * 100),
    lambda path: path.write_bytes(b"x"),
    lambda path: path.write_bytes(os.urandom(100000)),
    foreign_sqlite, damaged, newer])
def test_a_file_that_is_no_index_is_left_alone(tmp_path, make):
    path = tmp_path / "index.db"
    make(path)
    before = path.read_bytes()
    line = start_wrong("--listen", "127.0.0.1:0", "--database", path, cwd=tmp_path)
    assert str(path) in line
    assert path.read_bytes() == before


def test_a_database_that_cannot_be(tmp_path):
    assert "/nonexistent/" in start_wrong("--listen", "127.0.0.1:0", "--database", "/nonexistent/x.db",
                                          cwd=tmp_path)
    assert str(tmp_path) in start_wrong("--listen", "127.0.0.1:0", "--database", tmp_path, cwd=tmp_path)


def test_one_directory_a_database(directory, tmp_path):
    line = start_wrong("--listen", "127.0.0.1:0", "--database", directory.database, cwd=tmp_path)
    assert "another directory" in line


def fill(disk):
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        with pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
    return filler


@pytest.mark.root
def test_full_disk(net, small_disk):
    directory = net.directory(arguments=["--database", small_disk / "index.db"])
    directory.login("Peer1", files=["before"])
    filler = fill(small_disk)
    names = [f"{i:0200}" for i in range(250)]
    reply = directory.login("Peer1", files=names)
    assert reply.status == 503
    assert "disco" in reply.json["detail"]
    assert directory.files_of("Peer1") == ["before"]
    assert directory.sources("before") == {"Peer1": []}
    assert directory.login("Peer1").status == 200
    filler.unlink()
    assert directory.login("Peer1", files=names).status == 200
    assert directory.files_of("Peer1") == sorted(names)


@pytest.mark.root
def test_files_of_who_came_while_the_disk_was_full(net, small_disk):
    """He is told that he is in, though nothing of him could be stored; his files are his all the same."""
    directory = net.directory(arguments=["--database", small_disk / "index.db", "--log-level", "debug"])
    directory.login("Peer1", files=["first"])
    directory.kill()
    directory.start()
    filler = fill(small_disk)
    assert directory.login("Peer2").status == 200
    filler.unlink()
    assert directory.login("Peer2", files=["mine"], url=["10.0.0.2:8001"]).status == 200
    directory.kill()
    assert "cannot store a login" in directory.log
    directory.start()
    assert directory.login("Peer3").status == 200
    assert directory.sources("mine") == {"Peer2": ["10.0.0.2:8001"]}


@pytest.mark.root
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_start_on_a_full_disk(net, small_disk, how):
    """What is stored is served, and as soon as there is room again more is stored."""
    directory = net.directory(arguments=["--database", small_disk / "index.db"])
    directory.login("Peer1", files=["before"])
    getattr(directory, how)()
    filler = fill(small_disk)
    directory.start()
    names = [f"{i:0200}" for i in range(250)]

    def check_reads(files):
        assert directory.files_of("Peer1") == sorted(files)
        assert directory.sources(files[0]) == {"Peer1": []}
        assert directory.peers() == ["Peer1"]

    for _ in range(3):
        reply = directory.login("Peer1", files=names)
        assert reply.status == 503 and "disco" in reply.json["detail"]
        assert directory.login("Peer1").status == 200
        check_reads(["before"])
        time.sleep(0.5)
    filler.unlink()
    wait_until(lambda: check_reads(["before"]) or directory.get("/readyz").status == 200, 10)
    assert directory.login("Peer1", files=names).status == 200
    check_reads(names)
    assert directory.log.count("cannot store who is alive") == directory.log.count("works again") <= 1
    directory.kill()
    directory.start()
    check_reads(names)
    directory.terminate()
    check_integrity(directory)


@pytest.mark.root
def test_first_start_on_a_full_disk(net, small_disk):
    """It says so, and leaves nothing that is in the way later."""
    filler = fill(small_disk)
    line = start_wrong("--listen", "127.0.0.1:0", "--database", small_disk / "index.db", cwd=small_disk)
    assert "index.db" in line and ("No space left" in line or "full" in line)
    filler.unlink()
    directory = net.directory(arguments=["--database", small_disk / "index.db"])
    assert directory.login("Peer1", files=["a"]).status == 200


def remount(disk, how):
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


@pytest.mark.root
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_start_on_a_read_only_file_system(net, small_disk, how):
    """One of the system's own: test_directory_machine.py has the rest."""
    directory = net.directory(arguments=["--database", small_disk / "index.db"])
    directory.login("Peer1", files=["before"])
    getattr(directory, how)()
    remount(small_disk, "ro")
    directory.start()
    assert directory.login("Peer1", files=["after"]).status == 503
    assert directory.sources("before") == {"Peer1": []}
    assert directory.get("/readyz").status == 503
    remount(small_disk, "rw")
    wait_until(lambda: directory.get("/readyz").status == 200, 10)
    assert directory.login("Peer1", files=["after"]).status == 200
    assert directory.sources("after") == {"Peer1": []} and not directory.sources("before")


@pytest.mark.plain
def test_idle_memory(directory):
    time.sleep(1.5)
    assert directory.status_value("VmRSS") < 20 * 1024


def test_names_cannot_forge_log_lines(directory):
    name = "x\u2028y\u202e.txt"
    directory.login("Peer1", files=[name])
    assert directory.sources(name) == {"Peer1": []}
    assert "\u2028" not in directory.log and "\u202e" not in directory.log


def test_installed_man_page():
    page = pathlib.Path(harness.ROOT / "docs" / "man" / "p2p-directory.8")
    result = subprocess.run(["man", "--warnings", "-l", str(page)], env=harness.environment(MANPAGER="cat"),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) \
        if subprocess.run(["which", "man"], stdout=subprocess.DEVNULL).returncode == 0 else None
    if result is not None:
        assert result.stderr == ""
    assert "--expiry" in page.read_text().replace("\\-", "-")


def test_large_database_is_checked_while_it_serves(net):
    """Damage that no request meets is found all the same; then nothing more is stored."""
    directory = net.directory()
    assert directory.login("Peer1", files=["a.txt"]).status == 200
    directory.terminate()
    with sqlite3.connect(directory.database) as connection:
        connection.execute("CREATE TABLE bulk(data)")
        connection.execute("INSERT INTO bulk VALUES(zeroblob(140000000))")
    connection.close()
    directory.start()
    wait_until(lambda: "the database is sound" in directory.log, 30)
    assert directory.get("/readyz").status == 200
    directory.terminate()
    with directory.database.open("r+b") as file:
        file.seek(60_000_000)
        file.write(b"\xff" * 100_000)
    directory.start()
    assert directory.sources("a.txt")
    wait_until(lambda: directory.get("/readyz").status == 503, 30)
    assert "dañada" in directory.get("/readyz").json["detail"]
    assert "damaged (try sqlite3's .recover)" in directory.log
    assert directory.login("Peer1", files=["b.txt"]).status == 503
    assert directory.sources("a.txt") and not directory.sources("b.txt")
