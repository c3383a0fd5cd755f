"""Standard services: health checking and server reflection, by clients written from their own pages."""

import threading

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import harness
from stubs import health, health_rpc, reflection

SERVING = health.HealthCheckResponse.SERVING
ALL_SERVICES = {"peer.PeerService", "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize("service", ["", "peer.PeerService"])
def test_check(peer, service):
    with peer.client() as client:
        stub = health_rpc.HealthStub(client.channel)
        assert stub.Check(health.HealthCheckRequest(service=service), timeout=10).status == SERVING


def test_check_of_an_unknown_service(peer):
    with peer.client() as client:
        with pytest.raises(grpc.RpcError) as refusal:
            health_rpc.HealthStub(client.channel).Check(
                health.HealthCheckRequest(service="nothing"), timeout=10)
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service, status", [
    ("", SERVING), ("peer.PeerService", SERVING),
    ("nothing", health.HealthCheckResponse.SERVICE_UNKNOWN)])
def test_watch(peer, service, status):
    """The state comes at once, then the stream stays open."""
    with peer.client() as client:
        call = health_rpc.HealthStub(client.channel).Watch(
            health.HealthCheckRequest(service=service), timeout=60)
        assert next(call).status == status
        ended = threading.Event()
        call.add_callback(ended.set)
        assert not ended.wait(0.5)
        call.cancel()


def test_watch_ends_when_the_daemon_stops(peer):
    with peer.client() as client:
        call = health_rpc.HealthStub(client.channel).Watch(health.HealthCheckRequest(), timeout=60)
        assert next(call).status == SERVING
        peer.terminate()
        seen = []
        try:
            for answer in call:
                seen.append(answer.status)
        except grpc.RpcError as end:  # an OK end is fine too
            assert end.code() != grpc.StatusCode.DEADLINE_EXCEEDED
        assert SERVING not in seen


def reflect(client, version, *requests):
    """The answers to requests sent on one stream."""
    call = client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection.ServerReflectionResponse.FromString)
    return list(call(iter([reflection.ServerReflectionRequest(**r) for r in requests]), timeout=10))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(peer, version):
    with peer.client() as client:
        answers = reflect(client, version, {"list_services": "*"}, {"list_services": ""})
    assert len(answers) == 2
    for answer in answers:
        assert {s.name for s in answer.list_services_response.service} == ALL_SERVICES
    assert answers[0].original_request.list_services == "*"


def collect(client, version, symbol):
    """All files that a generic client needs for the symbol, as FileDescriptorProto by name."""
    files = {}

    def take(answer):
        assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            files[file.name] = file

    take(reflect(client, version, {"file_containing_symbol": symbol})[0])
    while missing := {d for f in files.values() for d in f.dependency} - set(files):
        for name in missing:
            take(reflect(client, version, {"file_by_filename": name})[0])
    return files


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("symbol", ["peer.PeerService", "peer.PeerService.ListFiles",
                                    "peer.FileInfo"])
def test_a_generic_client_can_call(net, version, symbol):
    """As grpcurl does: fetch the descriptors, build the messages from them, call."""
    peer = net.peer(files={"a.txt": "abc"})
    with peer.client() as client:
        files = collect(client, version, symbol)
        pool = descriptor_pool.DescriptorPool()
        added = set()

        def add(name):
            if name not in added:
                added.add(name)
                for dependency in files[name].dependency:
                    add(dependency)
                pool.Add(files[name])

        for name in files:
            add(name)
        service = pool.FindServiceByName("peer.PeerService")
        kinds = {m.name: (m.client_streaming, m.server_streaming) for m in service.methods}
        assert kinds.items() >= {"ListFiles": (False, False), "DownloadFile": (False, True),
                                 "DownloadFiles": (False, True), "UploadFile": (True, False)}.items()
        chunk = pool.FindMessageTypeByName("peer.UploadChunk")
        assert {f.name: f.number for f in chunk.fields}.items() >= {"filename": 1,
                                                                    "data": 2}.items()
        reply_type = message_factory.MessageFactory(pool).GetPrototype(
            service.FindMethodByName("ListFiles").output_type)
        raw = client.raw("unary_unary", "/peer.PeerService/ListFiles")(b"", timeout=10)
        reply = reply_type.FromString(raw)
        assert [(f.filename, f.size_bytes) for f in reply.files] in ([("a.txt", 3)],
                                                                     [(b"a.txt", 3)])


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_of_the_unknown(peer, version):
    with peer.client() as client:
        answers = reflect(client, version, {"file_containing_symbol": "peer.Nothing"},
                          {"file_by_filename": "nothing.proto"}, {"file_by_filename": "x" * 5000},
                          {"list_services": ""})
    assert [a.WhichOneof("message_response") for a in answers] == [
        "error_response"] * 3 + ["list_services_response"]
    assert answers[0].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_reflection_survives_garbage(peer):
    with peer.client() as client:
        call = client.raw("stream_stream",
                          "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as refusal:
            list(call(iter([b"\xff\xff\xff"]), timeout=10))
        assert refusal.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
        stub = health_rpc.HealthStub(client.channel)
        assert stub.Check(health.HealthCheckRequest(), timeout=10).status == SERVING


def test_many_watchers(peer):
    """Each waits in the daemon without a thread of its own."""
    threads = peer.threads()
    with peer.client() as client:
        stub = health_rpc.HealthStub(client.channel)
        calls = [stub.Watch(health.HealthCheckRequest(), timeout=60 * harness.PATIENCE)
                 for _ in range(100)]
        assert all(next(call).status == SERVING for call in calls)
        assert peer.threads() <= threads + 2
        for call in calls:
            call.cancel()
        assert stub.Check(health.HealthCheckRequest(), timeout=10).status == SERVING
