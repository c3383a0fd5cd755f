"""kill -9 at random moments under full write load: what was acknowledged is there, and nothing by halves.

A dozen peers send whole lists, differences, heartbeats and logouts at the same time, each with one
request under way. After each kill the database is looked at as it was left, and the directory that
starts on it must know of each peer the last state that it has acknowledged, or the one on its way.
"""

import contextlib
import http.client
import json
import random
import shutil
import sqlite3
import threading
import time

import pytest

import harness
from index_sums import etag

PEERS = 12
ROUNDS = harness.amount(50, 4)
WORD = "zqx"  # in every name
NAMES = [f"{folder}{WORD} {number}" for folder in ("", "ñ/") for number in range(60)]
CONTENTS = [f"{number:064x}" for number in range(3)]


class Sharer:
    """One peer: what it was told to be true (files, there) and what it has asked for since then."""

    def __init__(self, name, password, seed):
        self.name, self.password = name, password
        self.numbers = random.Random(seed)
        self.url = [f"10.0.0.{seed + 1}:8001"]
        self.files, self.there = {}, False
        self.coming = None  # what they become by the request under way
        self.token = None  # of who is away, or whose login was not answered
        self.answered = 0
        self.failure = None

    def tag(self, files):
        return etag(files.values(), usual=self.url if files else [])

    def entry(self, name):
        known = {"filename": name}
        if self.numbers.random() < 0.7:
            known["size"] = self.numbers.randrange(1000)
        if self.numbers.random() < 0.5:
            known["content"] = self.numbers.choice(CONTENTS)
        if len(known) == 3 and self.numbers.random() < 0.3:
            known["partial"] = True
        return known

    def pick(self, names, most):
        return self.numbers.sample(names, self.numbers.randrange(min(len(names), most) + 1))

    def post(self, connection, path, **fields):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        else:
            fields["password"] = self.password
        body = json.dumps({"username": self.name, "folders": True, **fields})
        connection.request("POST", path, body=body.encode(), headers=headers)
        reply = connection.getresponse()
        data = json.loads(reply.read())
        assert reply.status == 200, (self.name, path, reply.status, data)
        return data

    def log_in(self, connection, after, **fields):
        """One login that makes the list what after says; the list is told by its sum, too."""
        self.coming = (after, True)
        reply = self.post(connection, "/login", index_etag=self.tag(after), **fields)
        assert reply["index_needed"] is False, (self.name, fields, reply)
        assert self.token in (None, reply["token"]), f"{self.name} has got another token"
        self.files, self.there, self.token, self.coming = after, True, reply["token"], None

    def step(self, connection):
        choice = self.numbers.random()
        if choice < 0.35:
            after = {name: self.entry(name) for name in self.pick(NAMES, 20)}
            self.log_in(connection, after,
                        files_index=[{**item, "url": self.url} for item in after.values()])
        elif choice < 0.8 and self.files:
            removed = self.pick(sorted(self.files), 5)
            after = {name: item for name, item in self.files.items() if name not in removed}
            added = [self.entry(name) for name in self.pick(NAMES, 6) if name not in after]
            after.update((item["filename"], item) for item in added)
            if after:  # a difference cannot leave nothing
                self.log_in(connection, after, index_base=self.tag(self.files),
                            files_added=added, files_removed=removed)
        elif choice < 0.9 or not self.token:
            self.log_in(connection, self.files)
        else:
            self.coming = (self.files, False)
            self.post(connection, "/logout")
            self.there, self.token, self.coming = False, None, None

    def run(self, port, stop):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30 * harness.PATIENCE)
        try:
            while not stop.is_set():
                self.step(connection)
                self.answered += 1
        except (OSError, http.client.HTTPException):
            pass  # the kill; its request stays in coming
        except AssertionError as failure:
            self.failure = failure
        finally:
            connection.close()

    def compare(self, rows, there):
        """What the directory says after its restart; that is the truth from now on."""
        acknowledged = (self.files, self.there)
        coming = self.coming or acknowledged
        held = [files for files, _ in (acknowledged, coming)
                if rows == as_rows(files, self.name, self.url)]
        assert held, f"{self.name} has {rows}\nacknowledged {self.files}\non its way {self.coming}"
        assert there in (self.there, coming[1]), \
            f"{self.name} is there: {there}, acknowledged {self.there}, on its way {coming[1]}"
        self.files, self.there, self.coming = held[0], there, None
        if not there:
            self.token = None


def as_rows(files, peer, url):
    return {item["filename"]: {"peer": peer, "url": url, **item} for item in files.values()}


def check_rows(directory, sharers):
    reply = directory.get("/ver_archivos", folders="1", partial="1").json
    rows = {sharer.name: {} for sharer in sharers}
    for row in reply["archivos"]:
        assert row["filename"] not in rows[row["peer"]], f"twice: {row}"
        rows[row["peer"]][row["filename"]] = row
    there = directory.peers()
    assert len(there) == len(set(there))
    for sharer in sharers:
        sharer.compare(rows[sharer.name], sharer.name in there)


def check_words(directory, sharers):
    """Words find the names of who is there, and no other ones."""
    expected = {}
    for sharer in sharers:
        for name in sharer.files if sharer.there else ():
            expected[name] = expected.get(name, 0) + 1
    found, cursor = {}, {}
    while cursor is not None:
        page = directory.get("/buscar", q=WORD, limit="500", folders="1", partial="1", **cursor).json
        for hit in page["archivos"]:
            found[hit["archivo"]] = found.get(hit["archivo"], 0) + hit["peers"]
        cursor = {"cursor": page["cursor"]} if "cursor" in page else None
    assert found == expected


def first_varint(data):
    value = 0
    for byte in data[:8]:
        value = value << 7 | byte & 0x7f
        if byte < 0x80:
            break
    return value


def check_database(directory):
    """A copy: the directory itself shall have to recover what the kill has left."""
    copy = directory.folder / "copy.db"
    for end in ("", "-wal"):
        shutil.copyfile(f"{directory.database}{end}", f"{copy}{end}")
    with contextlib.closing(sqlite3.connect(copy)) as database:
        def ask(sql):
            return database.execute(sql).fetchall()

        assert ask("PRAGMA integrity_check") == [("ok",)]
        # What no file has any more goes later, and what is new has its words later.
        assert ask("SELECT name FROM names WHERE id NOT IN (SELECT name_id FROM files)"
                   " AND id NOT IN (SELECT id FROM unused)") == []
        assert ask("SELECT id FROM unused WHERE id NOT IN (SELECT id FROM names)") == []
        assert ask("SELECT * FROM files WHERE name_id NOT IN (SELECT id FROM names)") == []
        assert ask("SELECT * FROM files WHERE peer_id NOT IN (SELECT id FROM peers)") == []
        names, = ask("SELECT count(*) FROM names"
                     " WHERE id <= (SELECT value FROM state WHERE key='worded')")
        # FTS5's record of averages begins with the number of documents.
        words = ask("SELECT block FROM words_data WHERE id=1")
        assert first_varint(words[0][0]) == names[0]
        counted = ask("SELECT value FROM state WHERE key='files'")
        assert (counted or [(0,)]) == ask("SELECT count(*) FROM files")
        for peer, urls, tag in ask("SELECT id, urls, etag FROM peers WHERE etag NOT NULL"):
            rows = database.execute(
                "SELECT name, urls, size, content, partial FROM files JOIN names ON id=name_id"
                " WHERE peer_id=?", (peer,))
            files = [{"filename": row[0], **({"url": json.loads(row[1])} if row[1] else {}),
                      "size": row[2], "content": row[3] and row[3].hex(), "partial": row[4]}
                     for row in rows]
            assert etag(files, usual=json.loads(urls)) == tag.hex(), "a list and its sum differ"
    for path in directory.folder.glob("copy.db*"):
        path.unlink()


def kill_under_load(directory, sharers, seconds):
    stop = threading.Event()
    threads = [threading.Thread(target=sharer.run, args=(directory.port, stop)) for sharer in sharers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    directory.kill()
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.long
def test_fifty_kills_under_write_load(net):
    directory = net.directory()
    numbers = random.Random(1)
    names = [f"S{number}" for number in range(PEERS)]
    made = harness.run_program(harness.DIRECTORY_PROGRAM, "user", "add", "--generate", "-", "--users",
                               directory.users_path, stdin="\n".join(names))
    passwords = dict(line.split(":") for line in made.stdout.splitlines())
    directory.terminate()
    directory.start()
    sharers = [Sharer(name, passwords[name], seed) for seed, name in enumerate(names)]
    for sharer in sharers:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", directory.port)) as connection:
            sharer.log_in(connection, {}, files_index=[])
    for _ in range(ROUNDS):
        kill_under_load(directory, sharers, numbers.uniform(0.0, 0.25) * harness.PATIENCE)
        for sharer in sharers:
            assert not sharer.failure, sharer.failure
        check_database(directory)
        if numbers.random() < 0.2:  # and once more, while it starts
            directory.start(wait=False)
            time.sleep(numbers.uniform(0.0, 0.05))
            directory.kill()
        directory.start()
        check_rows(directory, sharers)
        check_words(directory, sharers)
    assert sum(sharer.answered for sharer in sharers) > ROUNDS * PEERS
