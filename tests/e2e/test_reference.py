"""The stand-ins themselves: what the other tests rest on must behave as the reference does."""

import json
import urllib.error
import urllib.request

import grpc
import pytest

import reference


def fetch(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def test_directory_replies(net):
    directory = net.reference_directory()
    login = f"{directory.url}/login"
    assert fetch(f"{login}?username=Peer1&password=bad", "POST") == (
        401, {"detail": "Usuario o contraseña incorrectos"})
    assert fetch(login, "POST")[0] == 422
    assert fetch(login)[0] == 405
    assert fetch(f"{directory.url}/nothing") == (404, {"detail": "Not Found"})
    good = f"{login}?username=Peer1&password=sd1234"
    assert fetch(good, "POST") == (200, {"status": "OK", "token": "123abc"})
    assert fetch(good + "&files_index=nonsense", "POST") == (
        400, {"detail": "Formato inválido en files_index"})
    assert fetch(good + "&files_index=[{\"filename\":\"a+b\",\"url\":[]}]", "POST")[0] == 200
    assert fetch(good + "&files_index=[]", "POST")[0] == 200  # forgets nothing
    assert fetch(f"{directory.url}/buscar_archivos?filename=a%20b") == (
        200, {"archivo": "a b", "disponible_en": [{"peer": "Peer1", "url": []}]})
    assert fetch(f"{directory.url}/buscar_archivos", "POST") == (405, {"detail": "Method Not Allowed"})
    assert fetch(f"{directory.url}/peers_activos") == (200, {"peers": ["Peer1"]})


def test_directory_resets_long_urls(net):
    directory = net.reference_directory()
    with pytest.raises((OSError, urllib.error.URLError)):
        fetch(f"{directory.url}/login?username={'x' * 70000}", "POST")


def test_directory_expires_peers(net):
    directory = net.reference_directory(expiry=0.0)
    fetch(f"{directory.url}/login?username=Peer1&password=sd1234"
          "&files_index=[{\"filename\":\"a\",\"url\":[]}]", "POST")
    assert fetch(f"{directory.url}/buscar_archivos?filename=a") == (
        404, {"detail": "Archivo 'a' encontrado pero los peers no están activos"})


def test_peer_and_client(net):
    peer = net.reference_peer(files={"a.txt": "hello"})
    with reference.ReferenceClient(peer.address) as client:
        assert client.list_files() == {"a.txt": 5}
        assert client.download("a.txt") == b"hello"
        with pytest.raises(grpc.RpcError) as refusal:
            client.download("b.txt")
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
        data = reference.random_bytes(200_000)
        reply = client.upload("b.txt", data)
        assert (reply.ok, reply.message) == (True, "Escrito 200000 bytes en b.txt")
        assert client.download("b.txt") == data
        assert [len(chunk.data) for chunk in client.chunks("b.txt")] == [65536] * 3 + [3392]
