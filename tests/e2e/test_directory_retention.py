"""Files of peers that have been away for --retention days are dropped, and nobody waits for it."""

import json
import sqlite3

import harness
from index_sums import etag

DAY_MS = 86_400_000
URL = ["10.0.0.1:8001"]


def share(directory, peer, names):
    files = [{"filename": name, "url": URL} for name in names]
    body = json.dumps({"username": peer, "password": harness.PASSWORD, "files_index": files})
    reply = directory.request("POST", "/login", body=body.encode(),
                              headers={"Content-Type": "application/json"})
    assert reply.status == 200
    return files


def log_out(directory, peer):
    token = directory.login(peer).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert directory.request("POST", "/logout", headers=headers).status == 200


def run_for(directory, days):
    """As if the directory had been running for so many days more, with everybody as he is."""
    directory.terminate()
    database = sqlite3.connect(directory.database)
    database.execute("UPDATE state SET value=value+? WHERE key='run_ms'", (int(days * DAY_MS),))
    database.commit()
    database.close()
    directory.start()


def rows(directory):
    database = sqlite3.connect(f"file:{directory.database}?mode=ro", uri=True)
    count = database.execute("SELECT count(*) FROM files").fetchone()[0]
    names = database.execute("SELECT count(*) FROM names").fetchone()[0]
    database.close()
    return count, names


def test_who_has_been_away_too_long_loses_his_files(directory):
    many = share(directory, "Peer1", [f"file {number}" for number in range(5000)])
    share(directory, "Peer2", ["file 7", "kept"])
    log_out(directory, "Peer1")
    run_for(directory, 6.9)
    assert len(directory.files_of("Peer1")) == 5000
    assert directory.login("Peer2").status == 200
    run_for(directory, 0.2)
    harness.wait_until(lambda: directory.files_of("Peer1") == [], 20, "the files to go")
    assert directory.files_of("Peer2") == ["file 7", "kept"]
    # Names that nobody shares any more go with the next second's write.
    harness.wait_until(lambda: rows(directory) == (2, 2), 5, "the names to go")
    back = directory.login("Peer1", index_etag=etag(many))
    assert back.json["index_needed"] is True
    share(directory, "Peer1", ["new"])
    assert directory.files_of("Peer1") == ["new"]


def test_time_while_the_directory_is_down_does_not_count(directory):
    share(directory, "Peer1", ["a"])
    log_out(directory, "Peer1")
    directory.terminate()
    database = sqlite3.connect(directory.database)
    # The boot clock at the last write is long ago, or was far ahead: another boot.
    database.execute("UPDATE state SET value=value-? WHERE key='written_ms'", (30 * DAY_MS,))
    database.commit()
    database.close()
    directory.start()
    share(directory, "Peer2", ["b"])
    assert directory.files_of("Peer1") == ["a"]


def test_nothing_is_dropped_with_retention_0(net):
    directory = net.directory(arguments=["--retention", "0"])
    share(directory, "Peer1", ["a"])
    log_out(directory, "Peer1")
    run_for(directory, 10000)
    share(directory, "Peer2", ["b"])
    assert directory.files_of("Peer1") == ["a"]


def test_a_kill_among_the_slices(directory):
    """What is left goes after the next start, and nothing else does."""
    share(directory, "Peer1", [f"file {number}" for number in range(20000)])
    share(directory, "Peer2", ["kept"])
    log_out(directory, "Peer1")
    run_for(directory, 8)
    for _ in range(3):
        left = rows(directory)[0]
        if left > 1:
            harness.wait_until(lambda: rows(directory)[0] < left, 20, "a slice")
        directory.kill()
        directory.start()
    harness.wait_until(lambda: rows(directory) == (1, 1), 30, "all slices")
    assert directory.files_of("Peer2") == ["kept"]
    directory.terminate()
    database = sqlite3.connect(directory.database)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
