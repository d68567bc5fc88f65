"""Calls a worker and prints its answer: python caller.py ADDRESS QUEUE JSON [JOB_ID]"""
import os, random, sys, time, uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from queuecall.v1 import broker_pb2, broker_pb2_grpc

RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 5_000)]


class JobFailed(Exception):
    """The job ended without a result."""


class WaitTimeout(Exception):
    """The job has not ended yet. It goes on: wait() fetches its outcome."""


class Caller:
    def __init__(self, address):
        self.broker = broker_pb2_grpc.BrokerServiceStub(grpc.insecure_channel(address, RECONNECT))

    def call(self, queue, data, job_id="", timeout=30, **spec):
        """Stores a job, waits, answers its result. An id that exists is joined."""
        request = broker_pb2.EnqueueAndWaitRequest(request_id=os.urandom(16))
        # With an id of our own, and the request's, every repeat finds what the first send did.
        request.spec.queue, request.spec.job_id = queue, job_id or str(uuid.uuid4())
        request.spec.payload.data, request.spec.payload.content_type = data, "application/json"
        request.spec.MergeFrom(type(request.spec)(**spec))
        return self.outcome(self.broker.EnqueueAndWait, request, timeout)

    def wait(self, queue, job_id, timeout=30):
        """Waits for a job that exists."""
        return self.outcome(self.broker.WaitJob, broker_pb2.WaitJobRequest(queue=queue, job_id=job_id), timeout)

    def outcome(self, method, request, timeout):
        job = self.repeat(method, request, timeout).job
        if job.HasField("failure"):
            raise JobFailed(f"{job.job_id}: {job.failure.status.message}")
        return job.result.data

    def repeat(self, method, request, timeout):
        """Sends the request until a broker has answered it, or the time is over."""
        deadline, failures = time.monotonic() + timeout, 0
        while True:
            left = max(0, deadline - time.monotonic())
            request.wait_timeout.FromMilliseconds(int(left * 1000))
            try:
                # One second more than the wait: the broker's own answer says more than a deadline that fired.
                return method(request, timeout=left + 1)
            except grpc.RpcError as error:
                reason, pause = refusal(error)
                out_of_time = time.monotonic() >= deadline - 0.05
                if reason == "WAIT_TIMEOUT" and out_of_time:
                    raise WaitTimeout(error.details()) from None
                again = reason in ("WAIT_TIMEOUT", "ENQUEUE_UNCONFIRMED") or error.code() is grpc.StatusCode.UNAVAILABLE
                if out_of_time or not again:
                    raise
                pause = max(pause, min(5, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1))
                time.sleep(min(pause, max(0, deadline - time.monotonic())))
                failures += 1


def refusal(error):
    """The reason, "" if it was not the broker that spoke, and how long to wait before the next try, in seconds."""
    status, info, retry = status_pb2.Status(), error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(retry)
    return info.reason, retry.retry_delay.ToMilliseconds() / 1000


if __name__ == "__main__":
    address, queue, data, *job_id = sys.argv[1:]
    print(Caller(address).call(queue, data.encode(), *job_id).decode())
