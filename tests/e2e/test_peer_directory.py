"""How our peer lives with a directory: ours and the reference's."""

import random
import shutil
import time

import pytest

import harness
import reference
from harness import wait_until
from way import Way

ODD_NAMES = ["con espacios.txt", "ñandú ✅.pdf", "100%41.txt", "a+b&c=d#e?.txt", "quote\"s\\.txt"]


@pytest.fixture(params=["ours", "reference"])
def any_directory(request, net):
    if request.param == "ours":
        return net.directory()
    return net.reference_directory()


def files_in(directory, peer):
    return directory.files_of(peer)


def active(directory):
    return directory.active() if isinstance(directory, reference.ReferenceDirectory) \
        else directory.peers()


def entries(directory, filename):
    """What a search answers: {peer: urls}."""
    if isinstance(directory, reference.ReferenceDirectory):
        status, body = directory.search(filename)
        return {e["peer"]: e["url"] for e in body.get("disponible_en", [])} if status == 200 else {}
    return directory.sources(filename)


def test_logs_in_and_is_found(net, any_directory):
    peer = net.peer("Peer1", any_directory, files={name: "x" for name in ODD_NAMES})
    wait_until(lambda: files_in(any_directory, "Peer1") == sorted(ODD_NAMES), what="the files")
    assert active(any_directory) == ["Peer1"]
    for name in ODD_NAMES:
        assert entries(any_directory, name) == {"Peer1": [peer.address]}


def test_an_empty_folder_logs_in_too(net, any_directory):
    net.peer("Peer1", any_directory)
    wait_until(lambda: active(any_directory) == ["Peer1"], what="the login")
    assert files_in(any_directory, "Peer1") == []


def test_odd_passwords(net):
    password = "p&a=s+s ñ%41#?/\\\"'"
    directory = net.reference_directory(users={"Peer 1&é": password})
    net.peer("Peer 1&é", directory, password=password)
    wait_until(lambda: directory.active() == ["Peer 1&é"], what="the login")
    users = net.folder / "users"
    harness.add_user(users, "Peer9", password)
    ours = net.directory(users=users)
    net.peer("Peer9", ours, password=password)
    ours.wait_for_peer("Peer9")


@pytest.mark.parametrize("count", [1000, harness.amount(20000, 5000)])
def test_many_files(net, count):
    """Ours takes the index in one body of any length."""
    names = [f"file with a rather long name {number:06d}.txt" for number in range(count)]
    directory = net.directory()
    net.peer("Peer1", directory, files={name: "" for name in names})
    directory.wait_for_files("Peer1", names, 30)


def test_many_files_at_the_reference(net):
    """Its URL ends at 64 KiB: the index comes in several logins."""
    names = [f"file with a rather long name ñ {number:06d}.txt" for number in range(3000)]
    directory = net.reference_directory()
    net.peer("Peer1", directory, files={name: "" for name in names})
    wait_until(lambda: directory.files_of("Peer1") == names, 30, "all files")
    logins = [login for login in directory.logins_of("Peer1") if login["in_query"]]
    assert len(logins) > 1
    assert all(login["bytes"] < 64 * 1024 and login["status"] == 200 for login in logins)


def test_heartbeats_keep_it_alive(net):
    directory = net.directory(expiry=4)
    net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert directory.peers() == ["Peer1"]
        assert directory.sources("a")
        time.sleep(0.1)


def test_a_killed_peer_expires(net):
    directory = net.directory(expiry=3)
    peer = net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    peer.kill()
    killed = time.monotonic()
    wait_until(lambda: directory.peers() == [], 5, "the peer to expire")
    assert time.monotonic() - killed < 8 * harness.PATIENCE
    reply = directory.get("/buscar_archivos", filename="a")
    assert (reply.status, reply.json) == (
        404, {"detail": "Archivo 'a' encontrado pero los peers no están activos"})
    peer.start()
    directory.wait_for_peer("Peer1")


def test_a_stopped_peer_is_gone_at_once(net):
    directories = [net.directory(), net.directory(name="second")]
    peer = net.peer("Peer1", directories[0], files={"a": "x"},
                    api_url=[f"{d.url}/login" for d in directories],
                    api_search_url=[f"{d.url}/buscar_archivos" for d in directories])
    for directory in directories:
        directory.wait_for_files("Peer1", ["a"])
    assert peer.terminate() < harness.STOPS_WITHIN
    for directory in directories:
        assert directory.peers() == []
        assert directory.files_of("Peer1") == ["a"]
    peer.start()
    for directory in directories:
        directory.wait_for_peer("Peer1")


def seconds_until(check, timeout=10):
    started = time.monotonic()
    wait_until(check, timeout, "the directory to know")
    return time.monotonic() - started


def test_changes_are_known_within_two_seconds(net):
    """Each of them; the next heartbeat would come after ten."""
    times = []
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"old": "x"})
    directory.wait_for_files("Peer1", ["old"])
    reference.write_file(peer.share / "new", b"x")
    times.append(seconds_until(lambda: directory.files_of("Peer1") == ["new", "old"]))
    (peer.share / "old").rename(peer.share / "renamed")
    times.append(seconds_until(lambda: directory.files_of("Peer1") == ["new", "renamed"]))
    (peer.share / "new").unlink()
    times.append(seconds_until(lambda: directory.files_of("Peer1") == ["renamed"]))
    (peer.share / "renamed").rename(peer.share / ".hidden")
    times.append(seconds_until(lambda: directory.files_of("Peer1") == []))
    (peer.share / "slowly").write_bytes(b"x")
    times.append(seconds_until(lambda: directory.files_of("Peer1") == ["slowly"]))
    with peer.client() as client:
        assert client.upload("uploaded", b"x").ok
    times.append(seconds_until(lambda: directory.files_of("Peer1") == ["slowly", "uploaded"]))
    assert max(times) < 2 * harness.PATIENCE, times


def test_a_burst_of_files(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory)
    directory.wait_for_peer("Peer1")
    names = [f"{number:04d}" for number in range(1000)]
    for name in names:
        (peer.share / name).write_bytes(b"x")
    directory.wait_for_files("Peer1", names, 4)


def test_what_is_not_shared_is_not_told(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"a": "x", ".hidden": "x"})
    (peer.share / "folder").mkdir()
    (peer.share / "link").symlink_to("a")
    directory.wait_for_files("Peer1", ["a"])
    (peer.share / ".p2p-part-123456").write_bytes(b"x")
    reference.write_file(peer.share / "b", b"x")
    directory.wait_for_files("Peer1", ["a", "b"])


def test_directory_away_at_start(net):
    port = harness.free_port()
    peer = net.peer("Peer1", f"http://127.0.0.1:{port}", files={"a": "x"})
    with peer.client() as client:
        assert client.download("a") == b"x"
    time.sleep(2)
    complaints = [line for line in peer.log.splitlines() if " WARNING " in line or " ERROR " in line]
    assert len(complaints) == 1, peer.log
    directory = net.directory(port=port)
    directory.wait_for_files("Peer1", ["a"], 12)  # a heartbeat, 10 s, and a little
    assert directory.sources("a") == {"Peer1": [peer.address]}


def test_directory_comes_back(net):
    """Listed again within one heartbeat (2 s here) of its return; says twice at most what happened."""
    directory = net.directory(expiry=6)
    peer = net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    directory.terminate()
    time.sleep(5)
    with peer.client() as client:
        assert client.download("a") == b"x"
    directory.database.unlink()  # it comes back knowing nothing
    directory.start()
    assert seconds_until(lambda: directory.files_of("Peer1") == ["a"]) < 6 * harness.PATIENCE
    complaints = [line for line in peer.log.splitlines() if " WARNING " in line or " ERROR " in line]
    assert len(complaints) <= 1, peer.log


def test_the_index_is_told_again_to_a_directory_that_forgot(net):
    """It restarts between two heartbeats: no login ever failed, yet the list must come again."""
    directory = net.directory(expiry=9)
    net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    directory.kill()
    for leftover in directory.folder.glob("p2p-directory.db*"):
        leftover.unlink()
    directory.start()
    directory.wait_for_files("Peer1", ["a"], 10)


def known_of(directory, peer):
    """{name: (size, whether the content is known)} as the directory has it."""
    listed = directory.get("/ver_archivos", folders="1").json["archivos"]
    return {e["filename"]: (e["size"], "content" in e) for e in listed if e["peer"] == peer}


def in_folder(share):
    return {str(path.relative_to(share)): (path.stat().st_size, True)
            for path in share.rglob("*") if path.is_file()}


def change_something(share, chance, serial):
    """One random change; names with a folder, and names that come again, among them."""
    paths = sorted(path for path in share.rglob("*") if path.is_file())
    what = chance.randrange(5)
    if what < 2 or len(paths) < 10:
        path = share / chance.choice(["", "sub", "sub/ñ"]) / f"{chance.randrange(60)} a\"&%é"
        path.parent.mkdir(parents=True, exist_ok=True)
        reference.write_file(path, f"{serial}".encode() * chance.randrange(1, 9))
    elif what == 2:
        chance.choice(paths).unlink()
    elif what == 3:
        chance.choice(paths).rename(share / f"renamed {serial}")
    else:
        reference.write_file(chance.choice(paths), f"other {serial}".encode())


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_changes_the_list_is_the_folder(net, seed):
    """Told as changes; the directory is killed, restored from a copy, and loses its database."""
    chance = random.Random(seed)
    directory = net.directory(expiry=6)
    peer = net.peer("Peer1", directory, files={f"{n:03d}": f"file {n}" for n in range(40)},
                    log_level="debug")
    directory.wait_for_files("Peer1", [f"{n:03d}" for n in range(40)])

    def agrees():
        return known_of(directory, "Peer1") == in_folder(peer.share)

    saved = directory.folder / "saved"
    for serial in range(12):
        for _ in range(chance.randrange(1, 8)):
            change_something(peer.share, chance, serial)
            time.sleep(chance.choice([0, 0, 0.2]))
        if serial == 3:  # in the middle of it all
            directory.kill()
            directory.start()
        elif serial == 5:
            directory.terminate()
            shutil.copytree(directory.folder, saved)
            directory.start()
        elif serial == 8:
            directory.kill()
            for database in directory.folder.glob("p2p-directory.db*"):
                database.unlink()
            for database in saved.glob("p2p-directory.db*"):
                shutil.copy(database, directory.folder)
            directory.start()
        elif serial == 10:
            directory.kill()
            for database in directory.folder.glob("p2p-directory.db*"):
                database.unlink()
            directory.start()
        if serial % 2:
            wait_until(agrees, 25, f"the changes of round {serial}")
    wait_until(agrees, 25, "all changes")
    sent = [line.split() for line in peer.log.splitlines() if " sent the names of " in line]
    as_changes = [line for line in sent
                  if int(line[line.index("files,") + 1]) < int(line[line.index("files,") - 1])]
    assert len(as_changes) > 5, peer.log


def test_another_peer_of_that_name(net):
    """The last wins; the other one hears of it, and both are found again and again."""
    directory = net.directory(expiry=3)
    first = net.peer("Peer1", directory, files={"first": "x"})
    directory.wait_for_files("Peer1", ["first"])
    second = net.peer("Peer1", directory, files={"second": "x"})
    wait_until(lambda: directory.files_of("Peer1") == ["second"], what="the second list")
    wait_until(lambda: "does another peer have that name" in first.log + second.log,
               what="a word of it")
    assert second.terminate() < harness.STOPS_WITHIN
    wait_until(lambda: directory.files_of("Peer1") == ["first"] and directory.peers() == ["Peer1"],
               what="the first list")


def test_wrong_password(net):
    """It serves on, says so without telling the password, and gets in when the user is put right."""
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"a": "x"}, password="not-the-password")
    wait_until(lambda: " WARNING " in peer.log or " ERROR " in peer.log, what="a word of it")
    assert "not-the-password" not in peer.whole_log + directory.whole_log
    with peer.client() as client:
        assert client.download("a") == b"x"
    assert directory.peers() == []


def test_nothing_secret_in_the_logs(net):
    directory = net.directory(arguments=["--log-level", "debug"])
    token = directory.login("Peer2", files=["b"]).json["token"]
    peer = net.peer("Peer1", directory, files={"a": "x"})
    directory.wait_for_files("Peer1", ["a"])
    peer.command("search", "a")
    assert "sd1234" not in directory.whole_log + peer.whole_log
    assert token not in directory.whole_log + peer.whole_log


def test_without_authentication_it_only_serves(net):
    directory = net.reference_directory()
    peer = net.peer("Peer1", directory, files={"a": "x"}, auth_enabled=False)
    with peer.client() as client:
        assert client.download("a") == b"x"
    time.sleep(1)
    assert directory.logins == []


def test_grpc_advertise_is_what_others_are_told(net):
    directory = net.directory()
    net.peer("Peer1", directory, files={"a": "x"}, grpc_advertise="peer1.example:9999")
    directory.wait_for_files("Peer1", ["a"])
    assert directory.sources("a") == {"Peer1": ["peer1.example:9999"]}


def test_the_directory_puts_in_the_address_that_it_sees(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory, files={"a": "x"}, ip="0.0.0.0")
    directory.wait_for_files("Peer1", ["a"])
    assert directory.sources("a") == {"Peer1": [f"127.0.0.1:{peer.port}"]}


def test_a_silent_directory_does_not_stop_the_stop(net):
    """It accepts and never answers: the peer serves, and stops within its two seconds."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = net.peer("Peer1", f"http://127.0.0.1:{silent.getsockname()[1]}", files={"a": "x"})
        with peer.client() as client:
            assert client.download("a") == b"x"
        assert peer.terminate() < harness.STOPS_WITHIN


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"token\":12345}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 59\r\n\r\n"
    b"{\"token\":\"x\",\"expiry_s\":-5,\"heartbeat_s\":0.0000000001      }",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Away\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    b"garbage\r\n\r\n", b""])
def test_a_mad_directory(net, answer):
    """Whatever it answers, the peer serves on and does not hammer it."""
    import socket
    import threading

    count = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            nonlocal count
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                count += 1
                with connection:
                    connection.settimeout(2)
                    try:
                        connection.recv(65536)
                        connection.sendall(answer)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        peer = net.peer("Peer1", f"http://127.0.0.1:{listener.getsockname()[1]}", files={"a": "x"})
        wait_until(lambda: count >= 1, what="a login")
        time.sleep(2)
        with peer.client() as client:
            assert client.download("a") == b"x"
        assert count <= 8
        peer.terminate()
        listener.shutdown(socket.SHUT_RDWR)


def test_a_long_list_is_not_sent_again_after_a_restart(net):
    """The ids are in the catalogue: the list of the first login is the one that the directory has."""
    directory = net.directory()
    way = Way(directory, "127.0.0.1")
    names = [f"{number:04}" for number in range(2000)]
    peer = net.peer("Peer1", files={name: name for name in names}, auth_enabled=True,
                    port=harness.free_port(), api_url=f"{way.url}/login",
                    api_search_url=f"{way.url}/buscar_archivos")
    directory.wait_for_files("Peer1", names, 30)
    wait_until(lambda: sum("content" in entry for entry in directory.get(
        "/ver_archivos").json["archivos"]) == len(names), 60, "all ids")
    for stop in peer.terminate, peer.kill:
        stop()
        lists, sums = way.lists, way.sums
        peer.start()
        wait_until(lambda: way.sums > sums, what="the comparison")
        assert directory.peers() == ["Peer1"]
        new = f"new {stop.__name__}"
        (peer.share / new).write_text("x")  # it goes as a change: the rest was there
        wait_until(lambda: "content" in directory.get("/buscar_archivos", filename=new).text,
                   what="the new file")
        assert way.lists == lists
    way.close()
