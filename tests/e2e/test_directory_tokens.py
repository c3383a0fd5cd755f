"""Tokens instead of passwords, POST /logout, and what the directory says when it is too busy."""

import json
import re
import signal
import threading
import time

import pytest

import harness
from index_sums import etag

FILES = [{"filename": "a", "url": ["10.0.0.1:8001"]}]
LIST = json.dumps(FILES)


def by_token(directory, token, username="Peer1", body=None, kind=None, scheme="Bearer", **more):
    headers = {"Authorization": f"{scheme} {token}"}
    if kind:
        headers["Content-Type"] = kind
    query = {"username": username, **more} if username is not None else more
    return directory.request("POST", "/login", query or None, body=body, headers=headers)


def logout(directory, token):
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return directory.request("POST", "/logout", headers=headers)


def log_in(directory, username="Peer1"):
    return directory.login(username, files_index=LIST).json["token"]


def is_denied(reply):
    return (reply.status, reply.text) == (401, '{"detail":"Usuario o contraseña incorrectos"}')


def test_a_token_stands_for_the_password(directory):
    token = log_in(directory)
    reply = by_token(directory, token)
    assert reply.text == (
        '{"status":"OK","token":"' + token + '","expiry_s":30,"heartbeat_s":10}')
    assert by_token(directory, token, scheme="bearer").status == 200
    assert by_token(directory, token, index_etag=etag(FILES)).json["index_needed"] is False
    assert by_token(directory, token, files_index="[]").status == 200
    assert directory.files_of("Peer1") == []


@pytest.mark.parametrize("kind, encode", [
    ("application/json", json.dumps),
    ("application/x-www-form-urlencoded", lambda fields: f"username={fields['username']}")])
def test_the_name_may_be_in_the_body(directory, kind, encode):
    token = log_in(directory)
    for name, status in [("Peer1", 200), ("Peer2", 401)]:
        body = encode({"username": name}).encode()
        assert by_token(directory, token, None, body, kind).status == status


def test_tokens_that_are_not_this_peers(directory):
    token, other = log_in(directory), log_in(directory, "Peer2")
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    for bad in [other, wrong, "", token.upper() + "0", token + "0", token[:-1], "0" * 32, "x" * 32]:
        assert is_denied(by_token(directory, bad)), bad
    assert is_denied(by_token(directory, token, "nobody"))
    assert is_denied(by_token(directory, token, "Peer1\0"))
    assert by_token(directory, token, scheme="Basic").status == 422
    assert by_token(directory, token, None).status == 422


def test_a_password_counts_before_a_token(directory):
    token = log_in(directory)
    assert is_denied(by_token(directory, token, password="wrong"))
    assert by_token(directory, "wrong", password=harness.PASSWORD).status == 200


def test_a_token_dies_with_its_session(net):
    directory = net.directory(expiry=1)
    token = log_in(directory)
    harness.wait_until(lambda: directory.peers() == [], 10, "Peer1 to expire")
    assert is_denied(by_token(directory, token))
    assert directory.peers() == []


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_token_survives_a_restart(directory, how):
    token = log_in(directory)
    getattr(directory, how)()
    directory.start()
    assert by_token(directory, token).json["token"] == token


def replace_user(directory, change):
    path = directory.users_path
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(line) for line in lines) + "\n")


def other_password(directory, tmp_path):
    harness.add_user(tmp_path / "other", "Peer1", "another")
    line = next(line for line in (tmp_path / "other").read_text().splitlines() if line[:1] != "#")
    replace_user(directory, lambda old: line if old.startswith("Peer1:") else old)


def removed(directory, tmp_path):
    replace_user(directory, lambda old: "" if old.startswith("Peer1:") else old)


@pytest.mark.parametrize("change", [other_password, removed])
@pytest.mark.parametrize("restart", [False, True])
def test_a_token_dies_with_the_user_it_was_given_to(directory, tmp_path, change, restart):
    token, other = log_in(directory), log_in(directory, "Peer2")
    if restart:
        directory.terminate()
    change(directory, tmp_path)
    if restart:
        directory.start()
    else:
        directory.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: is_denied(by_token(directory, token)), 10, "the token to die")
    assert is_denied(by_token(directory, token))
    assert logout(directory, token).status == 401
    assert by_token(directory, other, "Peer2").status == 200
    if change is other_password:
        fresh = directory.login("Peer1", password="another").json["token"]
        assert fresh != token
        assert by_token(directory, fresh).status == 200
        assert is_denied(by_token(directory, token))


def test_logout(directory):
    token = log_in(directory)
    log_in(directory, "Peer2")
    reply = logout(directory, token)
    assert (reply.status, reply.text) == (200, '{"status":"OK"}')
    assert directory.peers() == ["Peer2"]
    assert directory.sources("a") == {"Peer2": ["10.0.0.1:8001"]}
    assert directory.files_of("Peer1") == ["a"]
    assert is_denied(by_token(directory, token))
    for bad in [token, None, "", "0" * 32]:
        reply = logout(directory, bad)
        assert (reply.status, reply.text) == (401, '{"detail":"Token inválido o vencido"}')
    assert "[API] Peer 'Peer1' se ha desconectado\n" in directory.log
    back = directory.login("Peer1", index_etag=etag(FILES)).json
    assert back["token"] != token and back["index_needed"] is False
    assert directory.peers() == ["Peer2", "Peer1"]


def test_a_logout_survives_a_kill(directory):
    token = log_in(directory)
    log_in(directory, "Peer2")
    assert logout(directory, token).status == 200
    directory.kill()
    directory.start()
    assert directory.peers() == ["Peer2"]
    assert is_denied(by_token(directory, token))


@pytest.mark.parametrize("method, status", [("GET", 405), ("HEAD", 405), ("PUT", 405)])
def test_logout_is_a_post(directory, method, status):
    reply = directory.request(method, "/logout")
    assert (reply.status, reply.headers["Allow"]) == (status, "POST")


def test_no_token_in_the_log(net):
    directory = net.directory(arguments=["--log-level", "debug"])
    token = log_in(directory)
    by_token(directory, token)
    logout(directory, token)
    assert token not in directory.log


@pytest.mark.long
def test_wrong_passwords_wait_in_a_line_that_ends(net):
    """Those that find no place are told when to come back, and known peers do not notice."""
    directory = net.directory(expiry=600)  # Peer1 is known for as long as the line needs to fill
    token = log_in(directory)
    replies = []
    stop = threading.Event()

    def attack():
        while not stop.is_set():
            try:
                replies.append(directory.login("Peer2", password="wrong"))
            except OSError:
                pass  # a listening queue that was full

    threads = [threading.Thread(target=attack) for _ in range(300)]
    for thread in threads:
        thread.start()
    try:
        harness.wait_until(lambda: any(reply.status == 503 for reply in replies), 60, "a 503")
        begun = time.monotonic()
        assert by_token(directory, token).status == 200
        assert directory.login("Peer1").status == 200
        assert time.monotonic() - begun < 5 * harness.PATIENCE
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {reply.status for reply in replies} == {401, 503}
    refused = next(reply for reply in replies if reply.status == 503)
    assert re.fullmatch("[1-9][0-9]?", refused.headers["Retry-After"])
    assert refused.json == {"detail": "El directorio está ocupado; intente de nuevo más tarde"}


def test_a_body_is_not_read_for_a_wrong_password(directory):
    """A JSON body that would be 400 is 401 when the credentials in the query are wrong."""
    headers = {"Content-Type": "application/json"}
    for password, status in [("wrong", 401), (harness.PASSWORD, 400)]:
        reply = directory.request("POST", "/login", {"username": "Peer1", "password": password},
                                  body=b"[" * 1000, headers=headers)
        assert reply.status == status
