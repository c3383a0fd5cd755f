#!/usr/bin/python3
"""Debian's libtorrent, and a tracker for it: what a swarm of our peers is compared with.

    torrent_peer.py make FILE TORRENT TRACKER       writes the torrent; TRACKER is ADDRESS:PORT
    torrent_peer.py track TRACKER                   prints "ready"
    torrent_peer.py seed TORRENT FOLDER ADDRESS     prints "ready" when FOLDER's file is found good
    torrent_peer.py leech TORRENT FOLDER ADDRESS    prints "ready", waits for SIGUSR1, fetches, prints
                                                    "done at" and the monotonic clock, and seeds on

They run until SIGTERM. Defaults of libtorrent, but for what would look for peers elsewhere, and for
uTP, which holds itself back in favour of TCP.
"""

import http.server
import pathlib
import signal
import sys
import time
import urllib.parse

import libtorrent

SETTINGS = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False,
            "enable_natpmp": False, "enable_incoming_utp": False, "enable_outgoing_utp": False}
PORT = 6881
POLL_SECONDS = 0.02


def make(path, torrent, tracker):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, path)
    made = libtorrent.create_torrent(files)
    made.add_tracker(f"http://{tracker}/announce")
    libtorrent.set_piece_hashes(made, str(pathlib.Path(path).parent))
    pathlib.Path(torrent).write_bytes(libtorrent.bencode(made.generate()))


class Tracker(http.server.BaseHTTPRequestHandler):
    """One torrent: who announces is told all that have announced before."""

    known = {}

    def log_message(self, *_):
        pass

    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query,
                                            encoding="latin-1"))
        address = bytes(map(int, self.client_address[0].split(".")))
        own = address + int(query["port"]).to_bytes(2, "big")
        peers = b"".join(peer for peer in self.known if peer != own)
        self.known[own] = True
        body = libtorrent.bencode({b"interval": 30, b"min interval": 5, b"peers": peers})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def track(tracker):
    address, port = tracker.split(":")
    server = http.server.ThreadingHTTPServer((address, int(port)), Tracker)
    print("ready", flush=True)
    server.serve_forever()


def add(torrent, folder, address):
    session = libtorrent.session({**SETTINGS, "listen_interfaces": f"{address}:{PORT}"})
    handle = session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": folder})
    return session, handle


def wait_until_whole(handle):
    while not handle.status().is_seeding:
        time.sleep(POLL_SECONDS)


def seed(torrent, folder, address):
    _session, handle = add(torrent, folder, address)
    wait_until_whole(handle)
    print("ready", flush=True)
    signal.pause()


def leech(torrent, folder, address):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    print("ready", flush=True)
    signal.sigwait({signal.SIGUSR1})
    _session, handle = add(torrent, folder, address)
    wait_until_whole(handle)
    print("done at", time.monotonic(), flush=True)
    signal.pause()


if __name__ == "__main__":
    {"make": make, "track": track, "seed": seed, "leech": leech}[sys.argv[1]](*sys.argv[2:])
