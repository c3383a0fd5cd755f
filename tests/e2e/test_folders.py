"""Folders in the shared folder: found, fetched and stored by who knows them, unseen by all others."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import threading
import time

import grpc
import pytest

import harness
import reference
from harness import wait_until
from reference import id_of, pieces_of
from stubs import content as content_wire
from test_content_peer import SERVICE, Client, refusal
from test_peer_commands import DONE, FAILED, NOT_FOUND, USAGE
from test_peer_faults import still_serves
from test_peer_menu import menu_of  # noqa: F401, a fixture
from test_peer_rot import catalogue_of, damaged, rotten, verify
from test_transfers import ended, journals, start_get, wait_job

MIB = 1024 * 1024
ACCEPTS_FOLDERS = b"\x08\x01"  # field 1 of Empty

TREE = {"top.txt": b"top", "sub/a.txt": b"aaa", "sub/deep er/ñ.txt": b"nnn", "sub/b.bin": b"b" * 100,
        "other/c.txt": b"cc"}
TOP = ["top.txt"]

BAD_NAMES = [b"../x", b"a/../b", b"/a", b"a//b", b"a/", b"./a", b"a/.", b"a/..", b"a/\x1b[2J", b"a\0/b",
             b"a/\nb", b"a/caf\xe9", b"a\xc3/\xb1", b"a/" + b"x" * 256, b"x/" * 255 + b"xx", b"/", b"//",
             b"x/" * 10000 + b"x", b"/etc/passwd", b"sub/../../x"]


def plant(folder, tree=None):
    for name, data in (tree or TREE).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tree_of(folder):
    """Every file below the folder, hidden ones too: name to bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()}


def list_files(address, request=b""):
    """Names that ListFiles gives for those bytes of a request."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(SERVICE + "ListFiles", lambda data: data,
                                   content_wire.ListFilesResponse.FromString)
        return sorted(file.filename for file in call(request, timeout=20).files)


def listed(directory, peer, **query):
    return sorted(entry["filename"] for entry in directory.get("/ver_archivos", **query).json["archivos"]
                  if entry["peer"] == peer)


def test_the_list_is_of_now(net):
    """Though it is kept: what was done before it is asked for is in it."""
    peer = net.peer()
    names = set(TREE)
    plant(peer.share)

    def check():
        assert list_files(peer.address, ACCEPTS_FOLDERS) == sorted(names)

    check()
    plant(peer.share, {"sub/new": b"n", "new/er/x": b"x"})
    names |= {"sub/new", "new/er/x"}
    check()
    (peer.share / "sub").rename(peer.share / "moved")
    names = {name.replace("sub/", "moved/") for name in names}
    check()
    (peer.share / "moved/a.txt").unlink()
    os.link(peer.share / "moved/b.bin", peer.share / "new/link")
    names = names - {"moved/a.txt"} | {"new/link"}
    check()
    (peer.share / "new/er").rename(peer.folder / "away")
    plant(peer.folder, {"away/unseen": b"u"})
    names.remove("new/er/x")
    check()
    shutil.rmtree(peer.share / "moved")
    names = {name for name in names if not name.startswith("moved/")}
    check()


def wait_listed(directory, peer, names, timeout=10):
    wait_until(lambda: listed(directory, peer, folders=1) == sorted(names), timeout,
               f"{peer} to share {sorted(names)}")


def tell(directory, peer, source, files, **more):
    """Logs a stand-in in with files in folders."""
    entries = [{"filename": name, "url": [source.address], "size": len(data), "content": id_of(data).hex()}
               for name, data in files.items()]
    reply = directory.login(peer, files_index=json.dumps(entries), folders="1", **more)
    assert reply.status == 200, reply


@pytest.fixture
def pair(net):
    """Peer1 with nothing, and Peer2 with the tree, in one network."""
    directory = net.directory()
    share = net.folder / "tree"
    share.mkdir()
    plant(share)
    other = net.peer("Peer2", directory, share=share)
    peer = net.peer("Peer1", directory)
    directory.wait_for_peer("Peer1")
    wait_listed(directory, "Peer2", TREE)
    return directory, peer, other


# ---- who asks for folders sees them, and nobody else


def test_directory_tells_who_asks(pair):
    directory, _, other = pair
    assert listed(directory, "Peer2") == TOP
    assert listed(directory, "Peer2", folders=0) == TOP
    assert listed(directory, "Peer2", folders=1) == sorted(TREE)
    pages, cursor = [], {}
    while True:
        reply = directory.get("/ver_archivos", limit=1, **cursor).json
        pages += [entry["filename"] for entry in reply["archivos"]]
        if "cursor" not in reply:
            break
        cursor = {"cursor": reply["cursor"]}
    assert pages == TOP
    reply = directory.get("/buscar_archivos", filename="sub/a.txt", folders=1)
    assert [entry["url"] for entry in reply.json["disponible_en"]] == [[other.address]]
    reply = directory.get("/buscar_archivos", filename="sub/a.txt")
    assert (reply.status, reply.json) == (
        400, {"detail": "Nombre de archivo inválido: contiene '/'"})
    for query in ({"filename": "a", "folders": "x"}, {"filename": "a/../b", "folders": 1}):
        assert directory.get("/buscar_archivos", **query).status == 400
    assert directory.get("/ver_archivos", folders=2).status == 400


def test_directory_takes_folders_from_who_knows_them(directory):
    files = ["a.txt", "sub/a.txt"]
    reply = directory.login("Peer1", files=files)
    assert (reply.status, reply.json) == (400, {"detail": "Formato inválido en files_index"})
    assert "folders" not in directory.login("Peer1", files=["a.txt"]).json
    reply = directory.login("Peer1", files=files, folders="1")
    assert (reply.status, reply.json["folders"]) == (200, True)
    assert listed(directory, "Peer1", folders=1) == files
    for body, status in (({"folders": True}, 200), ({"folders": False}, 400), ({"folders": "1"}, 200),
                         ({"folders": 1}, 400), ({}, 400)):
        body.update(username="Peer2", password=harness.PASSWORD,
                    files_index=[{"filename": name} for name in files])
        reply = directory.request("POST", "/login", body=json.dumps(body).encode(),
                                  headers={"Content-Type": "application/json"})
        assert reply.status == status, body
    assert directory.login("Peer3", files=["a"], folders="yes").status == 400
    for bad in ("a/../b", "/a", "a//b", "a/", "a/\u001b", "x/" * 40 + "x"):
        assert directory.login("Peer3", files=[bad], folders="1").status == 400
    assert listed(directory, "Peer3", folders=1) == []


def test_peers_list_folders_for_who_asks(pair):
    _, peer, other = pair
    assert list_files(other.address) == TOP
    assert list_files(other.address, b"\x08\x00") == TOP
    assert list_files(other.address, ACCEPTS_FOLDERS) == sorted(TREE)
    with other.client() as client:  # the reference's
        assert client.list_files() == {"top.txt": 3}
        assert client.download("sub/a.txt") == b"aaa"  # who asks by that name knows of folders
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # many at once, each its own list
        asked = [b"", ACCEPTS_FOLDERS] * 50
        for request, names in zip(asked, pool.map(lambda r: list_files(other.address, r), asked)):
            assert names == (sorted(TREE) if request else TOP)
    shown = peer.command("list", other.address).stdout
    assert all(name in shown for name in TREE)
    own = json.loads(other.command("list", "--json").stdout)
    assert [file["name"] for file in own["files"]] == sorted(TREE, key=str.encode)


def test_reference_directory_hears_of_no_folder(net):
    directory = net.reference_directory()
    share = net.folder / "tree"
    share.mkdir()
    plant(share)
    net.peer("Peer1", directory, share=share)
    wait_until(lambda: directory.files_of("Peer1") == TOP, 10, "the first list")
    plant(share, {"new/x.txt": b"x", "late.txt": b"late"})
    wait_until(lambda: "late.txt" in directory.files_of("Peer1"), 10, "the second list")
    plant(share, {"new/y.txt": b"y"})
    time.sleep(2)
    assert directory.files_of("Peer1") == ["late.txt", "top.txt"]
    told = [login["files"] for login in directory.logins_of("Peer1") if login["files"]]
    assert told == [["top.txt"], ["late.txt", "top.txt"]]
    assert directory.keys_told <= {"filename", "url"}


def test_reference_peers_and_ours(net):
    """A reference peer gives what it has; folders of ours do not disturb it."""
    directory = net.directory()
    stand_in = net.reference_peer(files={"ref.txt": b"reference"})
    directory.login("Peer3", files=["ref.txt"], url=[stand_in.address])
    peer = net.peer("Peer1", directory)
    plant(peer.share)
    wait_listed(directory, "Peer1", TREE)
    assert peer.command("get", "ref.txt").returncode == DONE
    shown = peer.command("list", stand_in.address)
    assert shown.returncode == DONE and "ref.txt" in shown.stdout
    assert peer.command("get", "sub/", "--from", stand_in.address).returncode == NOT_FOUND
    assert peer.command("put", "sub/b.bin", stand_in.address).returncode == DONE
    assert (stand_in.folder / "b.bin").read_bytes() == TREE["sub/b.bin"]


# ---- get


def test_get_a_file_in_a_folder(pair):
    _, peer, other = pair
    found = peer.command("search", "sub/a.txt")
    assert found.returncode == DONE and "Peer2" in found.stdout
    result = peer.command("get", "sub/a.txt")
    assert (result.returncode, result.stderr) == (DONE, "")
    assert result.stdout == f"Archivo descargado: {peer.share}/sub/a.txt\n"
    assert tree_of(peer.share) == {"sub/a.txt": b"aaa"}
    assert (peer.share / "sub").stat().st_mode & 0o777 == 0o755
    assert (peer.share / "sub/a.txt").stat().st_mode & 0o777 == 0o644
    # Again: the same content is there. Another content: it is not overwritten.
    assert peer.command("get", "sub/a.txt").returncode == DONE
    (other.share / "sub/a.txt").write_bytes(b"other content")
    def other_is_known():
        rows = json.loads(peer.command("search", "sub/a.txt", "--json").stdout or "{}")
        return id_of(b"other content").hex() in json.dumps(rows)
    wait_until(other_is_known, 10, "the new content")
    result = peer.command("get", "sub/a.txt", "--from", "Peer2")
    assert "Ya existía sub/a.txt con otro contenido: se guardó como sub/a (1).txt" in result.stdout
    assert tree_of(peer.share) == {"sub/a.txt": b"aaa", "sub/a (1).txt": b"other content"}


def test_what_was_fetched_is_shared_in_its_folder(pair):
    directory, peer, _ = pair
    assert peer.command("get", "sub/a.txt").returncode == DONE
    wait_until(lambda: listed(directory, "Peer1", folders=1) == ["sub/a.txt"], 2.5, "it to be listed")
    reply = directory.get("/buscar_archivos", filename="sub/a.txt", folders=1)
    wait_until(lambda: [entry.get("content") for entry in directory.get(
        "/buscar_archivos", filename="sub/a.txt", folders=1).json["disponible_en"]] ==
        [id_of(b"aaa").hex()] * 2, 10, "both with one id")
    assert reply.status == 200
    assert directory.files_of("Peer1") == []


def test_get_a_folder(pair):
    _, peer, _ = pair
    result = peer.command("get", "sub/")
    assert result.returncode == DONE, result.stderr
    assert tree_of(peer.share) == {name: data for name, data in TREE.items() if name.startswith("sub/")}
    assert peer.command("get", "nothing/").returncode == NOT_FOUND
    assert "No hay archivos en esa carpeta" in peer.command("get", "nothing/").stderr
    assert peer.command("get", "sub/", "--output", str(peer.folder)).returncode == USAGE
    rows = [json.loads(line) for line in peer.command("get", "other/", "--json").stdout.splitlines()]
    assert rows[-1]["path"] == f"{peer.share}/other/c.txt"


@pytest.mark.parametrize("pattern, expected", [
    ("*", {"top.txt"}),
    ("sub/*", {"sub/a.txt", "sub/b.bin"}),
    ("*/*.txt", {"sub/a.txt", "other/c.txt"}),
    ("sub/deep er/", {"sub/deep er/ñ.txt"}),
    ("s?b/", {"sub/a.txt", "sub/b.bin", "sub/deep er/ñ.txt"}),
])
def test_get_patterns(pair, pattern, expected):
    _, peer, _ = pair
    assert peer.command("get", pattern).returncode == DONE
    assert set(tree_of(peer.share)) == expected


@pytest.mark.parametrize("by", ["name", "address"])
def test_get_a_folder_of_one_peer(net, by):
    directory = net.directory()
    peers = {}
    for name in ("Peer2", "Peer3"):
        peers[name] = net.peer(name, directory)
        plant(peers[name].share, {"sub/both": b"both", f"sub/{name}": name.encode()})
        wait_listed(directory, name, ["sub/both", f"sub/{name}"])
    peer = net.peer("Peer1", directory)
    source = "Peer3" if by == "name" else peers["Peer3"].address
    result = peer.command("get", "sub/", "--from", source)
    assert result.returncode == DONE, result.stderr
    assert tree_of(peer.share) == {"sub/both": b"both", "sub/Peer3": b"Peer3"}


def test_get_to_another_place(pair):
    _, peer, _ = pair
    place = peer.folder / "place"
    place.mkdir()
    assert peer.command("get", "sub/a.txt", "--output", place).returncode == DONE
    assert tree_of(place) == {"a.txt": b"aaa"}
    assert peer.command("get", "sub/a.txt", "--output", place / "x").returncode == DONE
    result = peer.command("get", "sub/deep er/ñ.txt", "--output", "-")
    assert result.stdout == "nnn"
    assert tree_of(peer.share) == {}


def test_the_menu_takes_paths(pair, menu_of):
    _, peer, other = pair
    menu = menu_of(peer)
    menu.choose("1")
    menu.expect("Nombre del archivo a buscar: ")
    menu.say("sub/a.txt")
    menu.expect("Archivo encontrado: sub/a.txt")
    menu.expect("Seleccione peer para descargar (número): ")
    menu.say("1")
    menu.expect(f"✅ Archivo descargado exitosamente: {peer.share}/sub/a.txt")
    menu.choose("3")
    menu.expect("Dirección del peer (ip:puerto) a listar: ")
    menu.say(other.address)
    menu.expect("- sub/a.txt (3 bytes)")
    menu.leave()
    assert tree_of(peer.share) == {"sub/a.txt": b"aaa"}


def test_a_folder_of_many_files(net):
    directory = net.directory()
    files = {f"many/{i % 20}/file {i}": str(i).encode() for i in range(harness.amount(2500, 1200))}
    other = net.peer("Peer2", directory)
    plant(other.share, files)
    wait_listed(directory, "Peer2", files, 30)
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "many/", timeout=120)
    assert result.returncode == DONE, result.stderr[-2000:]
    assert tree_of(peer.share) == files


def test_the_directory_is_away(net):
    """Friends are asked for a file in a folder by its name, too."""
    other = net.peer("Peer2")
    plant(other.share)
    peer = net.peer("Peer1", "http://127.0.0.1:9", peer_amigo_titular=f"http://{other.address}")
    assert peer.command("get", "sub/a.txt").returncode == DONE
    assert tree_of(peer.share) == {"sub/a.txt": b"aaa"}


# ---- what changes in the folder


def test_changes_are_told_within_two_seconds(pair):
    directory, _, other = pair
    files = set(TREE)

    def check(what):
        wait_until(lambda: set(listed(directory, "Peer2", folders=1)) == files, 2.5, what)

    plant(other.share, {"new/x/y/z.txt": b"z"})
    files.add("new/x/y/z.txt")
    check("a new folder")
    plant(other.share, {"new/x/w.txt": b"w"})
    files.add("new/x/w.txt")
    check("a file in it")
    os.rename(other.share / "new/x", other.share / "sub/moved")
    files -= {"new/x/y/z.txt", "new/x/w.txt"}
    files |= {"sub/moved/y/z.txt", "sub/moved/w.txt"}
    check("a folder that moved")
    plant(other.folder, {"outside/p/q": b"q", "outside/r": b"r"})
    os.rename(other.folder / "outside", other.share / "inside")
    files |= {"inside/p/q", "inside/r"}
    check("a folder that came with what is in it")
    plant(other.share, {"inside/p/s": b"s"})
    files.add("inside/p/s")
    check("a file in that")
    shutil.rmtree(other.share / "sub")
    files = {name for name in files if not name.startswith("sub/")}
    check("a folder that was removed")
    os.rename(other.share / "inside", other.share / ".inside")
    files = {name for name in files if not name.startswith("inside/")}
    check("a folder that was hidden")
    os.symlink(other.share / ".inside", other.share / "link")
    plant(other.share, {"last": b"l"})
    files.add("last")
    check("a link to a folder")
    assert listed(directory, "Peer2") == ["last", "top.txt"]


def test_contents_are_known_and_checked(pair):
    directory, _, other = pair
    with Client(other) as client:
        def known():
            try:
                return client.manifest("sub/deep er/ñ.txt")[0] == id_of(b"nnn")
            except grpc.RpcError:
                return False
        wait_until(known, 10, "the hashes")
        assert client.download("sub/b.bin", content_id=id_of(TREE["sub/b.bin"]))[0] == TREE["sub/b.bin"]
        assert client.download("sub/b.bin", offset=10, length=5)[0] == b"bbbbb"
        # Who does not say that he knows folders is not told the name.
        answer = client.availability(id_of(b"aaa"), "sub/a.txt")
        assert (answer.size_bytes, answer.filename) == (3, "")
    result = other.command("verify", "sub/a.txt", "--json")
    assert result.returncode == DONE, result.stdout + result.stderr
    os.rename(other.share / "sub", other.share / "renamed")
    wait_until(lambda: "renamed/a.txt" in listed(directory, "Peer2", folders=1), 5, "the new name")
    assert other.command("verify").returncode == DONE


def test_damage_in_a_folder_is_repaired(net):
    """Also when the folder has another name by then: nothing of the file itself has changed."""
    directory = net.directory()
    data = reference.random_bytes(3 * MIB)
    peer = net.peer("Peer1", directory)
    plant(peer.share, {"sub/a.bin": rotten(data, [1])})

    def hashed(name, content):
        with Client(peer) as client:
            try:
                return client.manifest(name)[0] == id_of(content)
            except grpc.RpcError:
                return False

    wait_until(lambda: hashed("sub/a.bin", rotten(data, [1])), 10, "the hashes")
    peer.terminate()
    with catalogue_of(peer) as database:
        assert database.execute("UPDATE files SET content=?, hashes=? WHERE name=?",
                                (id_of(data), b"".join(pieces_of(data)), "sub/a.bin")).rowcount == 1
    peer.start()
    wait_until(lambda: hashed("sub/a.bin", data), 10, "the changed catalogue")
    assert verify(peer, "sub/a.bin", status=1)["sub/a.bin"]["bad"] == [1]
    os.rename(peer.share / "sub", peer.share / "renamed")
    wait_until(lambda: hashed("renamed/a.bin", data), 10, "the new name")
    assert damaged(peer) == 1
    other = net.peer("Peer2", directory)
    plant(other.share, {"renamed/a.bin": data})
    wait_until(lambda: any(e.get("content") == id_of(data).hex() for e in directory.get(
        "/ver_archivos", folders=1).json["archivos"] if e["peer"] == "Peer2"), 10, "Peer2's id")
    verify(peer, "renamed/a.bin", status=1)  # tries at once
    wait_until(lambda: tree_of(peer.share) == {"renamed/a.bin": data}, 10, "the repair")
    wait_until(lambda: damaged(peer) == 0, 5, "it to be told")


def test_inotify_limit(net):
    """No watches left: said once, and what is new is found all the same."""
    directory = net.directory()
    share = net.folder / "tree"
    share.mkdir()
    plant(share, {f"folder{i}/file": b"f" for i in range(20)})
    limited = ["unshare", "--user", "--map-root-user", "sh", "-c",
               'echo 5 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")
    peer = net.peer("Peer1", directory, share=share)
    peer.terminate()
    peer.argv = [*limited, *map(str, peer.argv)]
    peer.start()
    wait_listed(directory, "Peer1", [f"folder{i}/file" for i in range(20)])
    for i in range(20):
        (share / f"folder{i}/new").write_bytes(b"n")
    wait_until(lambda: len(listed(directory, "Peer1", folders=1)) == 40, 5, "the new files")
    assert peer.log.count("no file events for some folders") == 1


def test_limits_of_depth(net):
    directory = net.directory()
    peer = net.peer("Peer1", directory)
    plant(peer.share, {"/".join(["d"] * 31) + "/file": b"x", "/".join(["e"] * 40) + "/file": b"x"})
    wait_listed(directory, "Peer1", ["/".join(["d"] * 31) + "/file"])
    wait_until(lambda: "are not shared" in peer.log, 5, "it to be said")
    plant(peer.share, {"more": b"m"})
    wait_listed(directory, "Peer1", ["/".join(["d"] * 31) + "/file", "more"])
    assert peer.log.count("are not shared") == 1


def test_the_daemons_own_folder_is_not_shared(net):
    directory = net.directory()
    share = net.folder / "share"
    share.mkdir()
    peer = net.peer("Peer1", directory, share=share, state_directory=str(share / "state"))
    plant(share, {"sub/a": b"a"})
    wait_listed(directory, "Peer1", ["sub/a"])
    assert (share / "state" / "catalogue.db").exists()
    with Client(peer) as client:
        assert refusal(lambda: client.download("state/catalogue.db")) == grpc.StatusCode.NOT_FOUND


# ---- what must not work


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name[:16]))
def test_bad_names_in_requests(peer, name):
    (peer.folder / "x").write_bytes(b"secret")
    plant(peer.share)
    # A length of more than two bytes of the varint.
    length, size = len(name), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    request = bytes([1 << 3 | 2]) + size + bytes([length]) + name
    with grpc.insecure_channel(peer.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        for method in ("DownloadFile", "GetManifest"):
            call = channel.unary_stream(SERVICE + method, lambda data: data, lambda data: data)
            with pytest.raises(grpc.RpcError) as refused:
                list(call(request, timeout=20))
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    still_serves(peer)


def test_uploads_stay_at_the_top(peer):
    plant(peer.share)
    with peer.client() as client:
        for name in ("sub/new.txt", "new/x", "sub/a.txt"):
            answer = client.upload(name, b"x")
            assert not answer.ok and "contiene '/'" in answer.message
    assert tree_of(peer.share) == TREE


def test_links_are_not_followed(peer):
    (peer.folder / "secret").mkdir()
    (peer.folder / "secret/s.txt").write_bytes(b"secret")
    plant(peer.share)
    (peer.share / "out").symlink_to(peer.folder / "secret")
    (peer.share / "sub/link").symlink_to(peer.folder / "secret/s.txt")
    (peer.share / "sub/in").symlink_to(peer.share / "other")
    assert list_files(peer.address, ACCEPTS_FOLDERS) == sorted(TREE)
    with Client(peer) as client:
        for name in ("out/s.txt", "sub/link", "sub/in/c.txt", "sub", "top.txt/x", "sub/deep er"):
            assert refusal(lambda name=name: client.download(name)) == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("name", ["out/a", "in/a", "file/a", "file/d/a", "folder/out/a", ".hidden/a",
                                  "folder/.a"])
def test_nothing_is_stored_through_what_is_no_folder(net, name):
    directory = net.directory()
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {name: b"data"})
    tell(directory, "Peer2", source, {name: b"data"})
    outside = net.folder / "outside"
    outside.mkdir()
    peer = net.peer("Peer1", directory)
    (peer.share / "file").write_bytes(b"file")
    (peer.share / "folder").mkdir()
    (peer.share / "out").symlink_to(outside)
    (peer.share / "in").symlink_to("folder")
    (peer.share / "folder/out").symlink_to(outside)
    result = peer.command("get", name)
    assert result.returncode in (FAILED, USAGE), result.stdout
    assert "no es una carpeta" in result.stderr or "oculto" in result.stderr
    assert os.listdir(outside) == []
    assert tree_of(peer.share) == {"file": b"file"}


def test_the_folder_becomes_a_link_meanwhile(net):
    directory = net.directory()
    data = reference.random_bytes(4 * MIB)
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {"sub/a.bin": data})
    source.rate = MIB
    tell(directory, "Peer2", source, {"sub/a.bin": data})
    outside = net.folder / "outside"
    outside.mkdir()
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "sub/a.bin")
    wait_job(peer, lambda row: row["bytes"] > 0)
    (peer.share / "sub").symlink_to(outside)
    code, _, err = ended(getting)
    assert code == FAILED and "no es una carpeta" in err
    assert os.listdir(outside) == [] and peer.names() == ["sub"]


@pytest.mark.root
def test_a_folder_of_another_file_system(net, small_disk):
    """It is shared; what would be stored there is refused before it is fetched."""
    directory = net.directory()
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {"disk/a": b"data"})
    tell(directory, "Peer2", source, {"disk/a": b"data"})
    share = net.folder / "share"
    (share / "disk").mkdir(parents=True)
    subprocess.run(["mount", "--bind", small_disk, share / "disk"], check=True)
    try:
        (share / "disk/mounted").write_bytes(b"m")
        peer = net.peer("Peer1", directory, share=share)
        wait_listed(directory, "Peer1", ["disk/mounted"])
        result = peer.command("get", "disk/a")
        assert result.returncode == FAILED
        assert "otro sistema de archivos" in result.stderr
        assert source.sent == 0
    finally:
        subprocess.run(["umount", "-l", share / "disk"], check=True)


class LyingPeer(reference.ReferencePeer):
    """Tells of names that lead elsewhere."""

    def ListFiles(self, request, context):
        files = [reference.wire.FileInfo(filename=name, size_bytes=1) for name in
                 ("../x", "sub/../../x", "/etc/x", "sub//x", "sub/", "sub/..", "sub/\x1b[2J", "sub/good",
                  "/".join(["sub"] * 1000))]
        return reference.wire.ListFilesResponse(files=files)

    def DownloadFile(self, request, context):
        yield reference.wire.Chunk(data=b"!")


def test_a_peer_that_lies_about_its_names(net):
    liar = net.reference_peer(LyingPeer)
    peer = net.peer("Peer1")
    result = peer.command("list", liar.address)
    assert result.returncode == DONE and "\x1b" not in result.stdout
    result = peer.command("get", "sub/", "--from", liar.address)
    assert result.returncode == DONE, result.stderr
    assert tree_of(peer.share) == {"sub/good": b"!"}
    for name in ("../x", "sub/../../x", "/etc/x", "sub//x"):
        assert peer.command("get", "--from", liar.address, "--", name).returncode in (FAILED, USAGE)
    assert tree_of(peer.share) == {"sub/good": b"!"}
    assert not (peer.folder / "x").exists()


def test_a_directory_that_lies_about_its_names(net):
    directory = net.reference_directory()
    liar = net.reference_peer(LyingPeer)
    with directory.lock:
        directory.seen["Peer2"] = time.monotonic() + 1000
        for name in ("../x", "sub/../../x", "/etc/x", "sub//x", "sub/..", "sub/\x1b[2J", "sub/good"):
            directory.entries.append({"peer": "Peer2", "filename": name, "url": [liar.address]})
    peer = net.peer("Peer1", directory)
    result = peer.command("get", "sub/", "*")
    assert tree_of(peer.share) == {"sub/good": b"!"}, result.stderr
    assert not (peer.folder / "x").exists()


@pytest.mark.parametrize("name", ["../../escaped", "sub/../../escaped", "/tmp/escaped", "sub//escaped"])
def test_a_journal_that_lies_about_its_name(net, name):
    directory = net.directory()
    data = reference.random_bytes(6 * MIB)
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {"sub/a.bin": data})
    source.rate = MIB
    tell(directory, "Peer2", source, {"sub/a.bin": data})
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "sub/a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    peer.kill()
    ended(getting)
    journal = journals(peer)[0]
    journal.write_bytes(journal.read_bytes().replace(b'"sub/a.bin"', json.dumps(name).encode(), 1))
    peer.start()
    wait_until(lambda: (journal.parent / (journal.name + ".bad")).exists(), 10, "it to be set aside")
    still_serves(peer)
    assert tree_of(peer.share) == {}


# ---- downloads that are broken off


@pytest.mark.parametrize("moment", [0.0, 1.0])
def test_killed_and_gone_on(net, moment):
    directory = net.directory()
    data = reference.random_bytes(24 * MIB)
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {"sub/deep/a.bin": data})
    source.rate = 6 * MIB
    tell(directory, "Peer2", source, {"sub/deep/a.bin": data})
    peer = net.peer("Peer1", directory)
    getting = start_get(peer, "sub/deep/a.bin")
    wait_job(peer, lambda row: row["held_bytes"] > 0)
    time.sleep(moment)
    peer.kill()
    ended(getting)
    # The temporary file is at the top; the folders are made when there is something for them.
    assert len(peer.names()) == 1 and peer.names()[0].startswith(".p2p-part-")
    source.rate = None
    tell(directory, "Peer2", source, {"sub/deep/a.bin": data})
    peer.start()
    wait_until(lambda: tree_of(peer.share) == {"sub/deep/a.bin": data}, 30, "the download to end")
    wait_until(lambda: journals(peer) == [], 5, "the journal to go")
    assert source.sent <= len(data) + 6 * MIB


def test_served_while_it_arrives(net):
    """A part of a file in a folder: for who asks for parts and for folders."""
    directory = net.directory()
    data = reference.random_bytes(40 * MIB)
    source = net.reference_peer(reference.ContentPeer)
    plant(source.folder, {"sub/a.bin": data})
    source.rate = 3 * MIB
    tell(directory, "Peer4", source, {"sub/a.bin": data})
    peers = [net.peer(name, directory) for name in ("Peer1", "Peer2")]
    stop = threading.Event()

    def keep():
        while not stop.wait(5):
            tell(directory, "Peer4", source, {"sub/a.bin": data})

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        getting = [start_get(peer, "sub/a.bin") for peer in peers]
        wait_until(lambda: {entry["peer"] for entry in directory.get(
            "/buscar_archivos", filename="sub/a.bin", partial=1, folders=1).json.get("disponible_en", ())
            if entry.get("partial")} == {"Peer1", "Peer2"}, 10, "both to be listed")
        assert listed(directory, "Peer1", partial=1) == []
        with Client(peers[0]) as client:
            assert client.availability(id_of(data)).filename == ""
        for process in getting:
            assert ended(process)[0] == DONE
    finally:
        stop.set()
        keeper.join()
    for peer in peers:
        assert tree_of(peer.share) == {"sub/a.bin": data}
    assert source.sent < 1.9 * len(data)
