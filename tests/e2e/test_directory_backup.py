"""p2p-directory backup: a whole copy while the directory works, or a clear error and nothing."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading

from harness import DIRECTORY_PROGRAM, amount, environment, run_program, wait_until


def back_up(directory, file, **options):
    return run_program(DIRECTORY_PROGRAM, "backup", file, "--database", directory.database, **options)


def content(file):
    """Peers and files of a copy that is whole."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count = database.execute("SELECT value FROM state WHERE key='files'").fetchone()[0]
        rows = database.execute("SELECT peers.name, names.name FROM files JOIN names ON"
                                " names.id=name_id JOIN peers ON peers.id=peer_id").fetchall()
        assert count == len(rows)
        return rows


def test_a_copy_serves_like_the_original(net, tmp_path):
    directory = net.directory()
    directory.login("Peer1", files=["a", "b"])
    file = tmp_path / "copy.db"
    assert back_up(directory, file).returncode == 0
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert os.listdir(tmp_path).count("copy.db") == 1
    assert sorted(content(file)) == [("Peer1", "a"), ("Peer1", "b")]
    other = net.directory(arguments=["--database", file])
    assert other.peers() == ["Peer1"] and set(other.sources("a")) == {"Peer1"}
    assert set(other.get("/buscar", q="b").json["archivos"][0]) >= {"archivo", "peers"}
    directory.terminate()
    assert back_up(directory, tmp_path / "later.db").returncode == 0
    assert len(content(tmp_path / "later.db")) == 2


def test_a_copy_is_of_one_moment(net, tmp_path):
    """Each list has ten files more than the one before, all of one number: no copy has half a list."""
    directory = net.directory()
    stop = threading.Event()

    def work():
        number = 0
        while not stop.is_set():
            number += 1
            assert directory.login("Peer1", files=[f"{number}-{i}" for i in range(200)]).status == 200

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_until(lambda: directory.files_of("Peer1"), 10, "the first list")
        seen = set()
        for number in range(8):
            file = tmp_path / f"copy{number}.db"
            assert back_up(directory, file).returncode == 0
            rows = content(file)
            assert len(rows) == 200
            lists = {name.split("-")[0] for _, name in rows}
            assert len(lists) == 1
            seen |= lists
    finally:
        stop.set()
        worker.join()
    assert len(seen) > 1


def test_nothing_is_overwritten_and_nothing_left(net, tmp_path, small_disk):
    directory = net.directory()
    for peer in range(1, 5):
        directory.login(f"Peer{peer}", files=[f"{peer}{i:0199}" for i in range(250)])
    folder = tmp_path / "copies"
    folder.mkdir()
    taken = folder / "taken"
    taken.write_text("dear")
    done = back_up(directory, taken)
    assert done.returncode == 1 and "taken: exists already" in done.stderr
    assert taken.read_text() == "dear"
    (folder / "link").symlink_to(folder / "nowhere")
    assert "exists already" in back_up(directory, folder / "link").stderr
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - 65536)
    done = back_up(directory, small_disk / "copy")
    assert done.returncode == 1 and "full" in done.stderr, done.stderr
    assert os.listdir(small_disk) == ["filler"]
    for where, text in {folder / "no" / "copy": "No such file", "": "missing"}.items():
        done = back_up(directory, where)
        assert done.returncode == (1 if where else 2) and text in done.stderr
    done = run_program(DIRECTORY_PROGRAM, "backup", folder / "x", "--database", folder / "none")
    assert done.returncode == 1 and "none: cannot read it: No such file" in done.stderr
    (folder / "text").write_text("not a database, but long enough to have a header of one" * 20)
    done = run_program(DIRECTORY_PROGRAM, "backup", folder / "x", "--database", folder / "text")
    assert done.returncode == 1 and "database" in done.stderr
    assert sorted(os.listdir(folder)) == ["link", "taken", "text"]


def test_it_can_be_broken_off(net, tmp_path):
    directory = net.directory()
    files = [{"filename": f"{i:0100}", "url": []} for i in range(amount(60000, 20000))]
    directory.request("POST", "/login", body=json.dumps(
        {"username": "Peer1", "password": "sd1234", "files_index": files}).encode(),
        headers={"Content-Type": "application/json"}, timeout=60)
    folder = tmp_path / "copies"
    folder.mkdir()
    with subprocess.Popen([DIRECTORY_PROGRAM, "backup", folder / "copy", "--database",
                           directory.database], stderr=subprocess.PIPE, text=True,
                          env=environment()) as process:
        wait_until(lambda: os.listdir(folder) or process.poll() is not None, 10, "the copy to begin")
        process.send_signal(signal.SIGINT)
        _, text = process.communicate()
    if process.returncode:  # or it was done before
        assert process.returncode == 1 and "broken off" in text
        assert os.listdir(folder) == []
    else:
        assert os.listdir(folder) == ["copy"]
