"""What grpcio sees of a broker: python conformance.py ADDRESS AGEING, the latter of a broker with a maximum connection age of a second. The same checks as those in go/conformance, a line of JSON for each."""
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import descriptor_pb2, empty_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from queuecall.v1 import broker_pb2 as wire, broker_pb2_grpc, job_pb2

SOON = 30
ADDRESS, AGEING = sys.argv[1:]
channel = grpc.insecure_channel(ADDRESS, [("grpc.max_send_message_length", -1)])
broker = broker_pb2_grpc.BrokerServiceStub(channel)
NAMES = ["", "queuecall.v1.BrokerService", "nobody.Knows"]


def code_of(call):
    """The name of the status that a call ends with."""
    try:
        call()
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def error_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error


def details_of(error):
    saw = {"code": error.code().name}
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info, bad, late = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), wire.WaitTimeout()
    for detail in status.details:
        if detail.Unpack(info):
            saw["reason"], saw["domain"] = info.reason, info.domain
        elif detail.Unpack(bad):
            saw["field"] = bad.field_violations[0].field
        elif detail.Unpack(late):
            saw["job"] = late.job_id
    return saw


def echo(job_id, data, **options):
    spec = job_pb2.JobSpec(queue="echo", job_id=job_id, payload=job_pb2.Payload(data=data))
    return broker.EnqueueAndWait(wire.EnqueueAndWaitRequest(spec=spec), timeout=SOON, **options).job.result.data


def store(job_id):
    broker.Enqueue(wire.EnqueueRequest(spec=job_pb2.JobSpec(queue="nobody", job_id=job_id)), timeout=SOON)


def wait(job_id, timeout, stub=broker, **fields):
    return stub.WaitJob(wire.WaitJobRequest(queue="nobody", job_id=job_id, **fields), timeout=timeout)


def health():
    def check(name):
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=SOON).status

    def saw(name):
        failed = code_of(lambda: check(name))
        return failed if failed != "OK" else health_pb2.HealthCheckResponse.ServingStatus.Name(check(name))

    return {name: saw(name) for name in NAMES}


def health_watch():
    def first(name):
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=SOON)
        status = next(stream).status
        stream.cancel()
        return health_pb2.HealthCheckResponse.ServingStatus.Name(status)

    return {name: first(name) for name in NAMES}


def reflection():
    """Both versions have the same messages."""
    asked, answered = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    requests = [
        asked(list_services=""),
        asked(file_containing_symbol="queuecall.v1.BrokerService"),
        asked(file_containing_symbol="nobody.Knows"),
    ]

    def saw(version):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        method = channel.stream_stream(path, asked.SerializeToString, answered.FromString)
        listing, file, unknown = method(iter(requests), timeout=SOON)
        files = [descriptor_pb2.FileDescriptorProto.FromString(each) for each in file.file_descriptor_response.file_descriptor_proto]
        return {
            "listed": any(each.name == "queuecall.v1.BrokerService" for each in listing.list_services_response.service),
            "found": any(each.name == "queuecall/v1/broker.proto" for each in files),
            "unknown": unknown.error_response.error_code,
        }

    return {version: saw(version) for version in ("v1", "v1alpha")}


def deadline():
    store("py-deadline")
    late = error_of(lambda: wait("py-deadline", 3))
    return {"late": details_of(late), "short": code_of(lambda: wait("py-deadline", 0.001))}


def cancellation():
    store("py-cancelled")
    call = broker.WaitJob.future(wire.WaitJobRequest(queue="nobody", job_id="py-cancelled"), timeout=SOON)
    threading.Timer(0.2, call.cancel).start()
    try:
        call.result()
    except grpc.FutureCancelledError:
        pass
    job = broker.GetJob(wire.GetJobRequest(queue="nobody", job_id="py-cancelled"), timeout=SOON).job
    return {"code": call.code().name, "job": job_pb2.JobState.Name(job.state)}


def metadata():
    sent = [("x-bytes-bin", b"\x00\xff\x80"), ("x-text", "text"), ("x-text", "again")]
    request = wire.GetJobRequest(queue="nobody", job_id="ein Märchen")
    error = error_of(lambda: broker.GetJob(request, timeout=SOON, metadata=sent))
    trailer = dict(error.trailing_metadata())
    binary = trailer.get("grpc-status-details-bin", b"")
    return {
        "code": error.code().name,
        "reason": trailer.get("queuecall-reason"),
        "job_id": trailer.get("queuecall-job-id"),
        "binary": binary[:1] == b"\x08",
    }


def large():
    data = b"\x07" * 2**20
    same = echo("py-large", data) == data
    too_large = code_of(lambda: echo("py-too-large", data * 5))
    return {"same": same, "code": "OK", "too_large": too_large, "after": code_of(lambda: echo("py-after", b""))}


def compression():
    data, ways = b"again " * 10_000, grpc.Compression
    compressed, other = [code_of(lambda: echo(f"py-{way}", data, compression=way)) for way in (ways.Gzip, ways.Deflate)]
    return {"gzip": compressed, "other": other, "after": code_of(lambda: echo("py-plain", data))}


def details():
    request = wire.EnqueueRequest(spec=job_pb2.JobSpec(queue="no queue"))
    return details_of(error_of(lambda: broker.Enqueue(request, timeout=SOON)))


def unimplemented():
    def call(path):
        method = channel.unary_unary(path, empty_pb2.Empty.SerializeToString, empty_pb2.Empty.FromString)
        return code_of(lambda: method(empty_pb2.Empty(), timeout=SOON))

    return {path: call(path) for path in ("/queuecall.v1.BrokerService/Nothing", "/nobody.Knows/Nothing")}


def keepalive():
    """Waits through many pings on a connection of its own."""
    store("py-keepalive")
    options = [("grpc.keepalive_time_ms", 500), ("grpc.http2.max_pings_without_data", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(ADDRESS, options) as own:
        request = dict(wait_timeout={"seconds": 5}, stub=broker_pb2_grpc.BrokerServiceStub(own))
        return details_of(error_of(lambda: wait("py-keepalive", SOON, **request)))["reason"]


def connection_age():
    states = []
    with grpc.insecure_channel(AGEING, [("grpc.use_local_subchannel_pool", 1)]) as own:
        own.subscribe(states.append, try_to_connect=True)
        stub = broker_pb2_grpc.BrokerServiceStub(own)
        stub.Enqueue(wire.EnqueueRequest(spec=job_pb2.JobSpec(queue="nobody", job_id="py-held")), timeout=SOON)
        held = stub.WaitJob.future(wire.WaitJobRequest(queue="nobody", job_id="py-held", wait_timeout={"seconds": 4}), timeout=SOON)
        failed = 0
        while not held.done():
            failed += code_of(lambda: stub.GetJob(wire.GetJobRequest(queue="nobody", job_id="py-held"), timeout=SOON)) != "OK"
        moved = states.count(grpc.ChannelConnectivity.READY) > 1
        return {"held": details_of(error_of(held.result))["reason"], "failed": failed, "moved": moved}


def watch():
    echo("py-watched", b"")
    first, *rest = broker.WatchJob(wire.WatchJobRequest(queue="echo", job_id="py-watched"), timeout=SOON)
    return {"state": job_pb2.JobState.Name(first.job.state), "ends": rest == []}


def many():
    with ThreadPoolExecutor(64) as pool:
        return sum(pool.map(lambda _: code_of(lambda: echo("", b"x")) == "OK", range(500)))


for check in (health, health_watch, reflection, deadline, cancellation, metadata, large, compression, details, unimplemented, keepalive, connection_age, watch, many):
    print(json.dumps({"check": check.__name__.replace("_", "-"), "saw": check()}), flush=True)
