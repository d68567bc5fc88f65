"""Calls a worker and prints its answer: python caller.py ADDRESS QUEUE JSON [JOB_ID]"""
import os, random, sys, threading, time, uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from queuecall.v1 import broker_pb2 as wire, broker_pb2_grpc, job_pb2

OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
]
ENDED = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)
SILENCE = 37.5  # two and a half heartbeats of a watch, in seconds
TOLERANCE = 0.05  # by which two clocks may differ on the length of a wait, in seconds


class BrokerError(Exception):
    """The call failed. reason: the broker's, "" if none spoke; metadata: what goes with it; retry_after: seconds."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        self.reason, self.metadata, self.retry_after = "", {}, 0
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        for detail in status_of(error).details:
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToMilliseconds() / 1000
        super().__init__(f"{self.code.name} {self.reason}: {self.message}")

    @property
    def means_repeat(self):
        status = grpc.StatusCode
        if self.reason:
            return self.reason == "ENQUEUE_UNCONFIRMED" or self.code in (status.UNAVAILABLE, status.RESOURCE_EXHAUSTED)
        broken = (status.UNAVAILABLE, status.CANCELLED, status.INTERNAL, status.UNKNOWN, status.DEADLINE_EXCEEDED)
        return self.code in broken


class JobFailed(Exception):
    """The job ended without a result. failure: queuecall.v1.JobFailure."""

    def __init__(self, job):
        self.failure = job.failure
        super().__init__(f"{job.job_id}: {job.failure.status.message}")


class WaitTimeout(Exception):
    """The job has not ended yet. It goes on: wait() fetches its outcome."""


class Caller:
    def __init__(self, address):
        self.broker = broker_pb2_grpc.BrokerServiceStub(grpc.insecure_channel(address, OPTIONS))

    def call(self, queue, data, job_id="", timeout=30, **spec):
        """Stores a job, waits, answers its result. An id that exists is joined."""
        request = wire.EnqueueAndWaitRequest(spec=spec_of(queue, data, job_id, spec), request_id=os.urandom(16))
        return self._outcome(self.broker.EnqueueAndWait, request, timeout)

    def enqueue(self, queue, data, job_id="", timeout=30, **spec):
        """Stores a job, answers its id."""
        request = wire.EnqueueRequest(spec=spec_of(queue, data, job_id, spec), request_id=os.urandom(16))
        return self._repeat(self.broker.Enqueue, request, timeout).job.job_id

    def wait(self, queue, job_id, timeout=30):
        """Waits for a job that exists, answers its result."""
        return self._outcome(self.broker.WaitJob, wire.WaitJobRequest(queue=queue, job_id=job_id), timeout)

    def cancel(self, queue, job_id, timeout=30):
        """Asks a job to stop, answers its state now."""
        return self._repeat(self.broker.CancelJob, wire.CancelJobRequest(queue=queue, job_id=job_id), timeout).job.state

    def watch(self, queue, job_id):
        """The job now, then each newer version, up to the last."""
        version, failures = 0, 0
        while True:
            stream = self.broker.WatchJob(wire.WatchJobRequest(queue=queue, job_id=job_id))
            pause = 0
            try:
                for message in until_silent(stream, SILENCE):
                    failures = 0
                    if message.HasField("job") and message.job.version > version:
                        version = message.job.version
                        yield message.job
                        if message.job.state in ENDED:
                            return
            except grpc.RpcError as raw:
                error = BrokerError(raw)
                if not error.means_repeat:
                    raise error from None
                pause = error.retry_after
            finally:
                stream.cancel()
            time.sleep(max(pause, backoff(failures)))
            failures += 1

    def _outcome(self, method, request, timeout):
        job = self._repeat(method, request, timeout).job
        if job.HasField("failure"):
            raise JobFailed(job)
        return job.result.data

    def _repeat(self, method, request, timeout):
        """Sends the request until a broker has answered it, or the time is over. Every send is the same request."""
        deadline, failures, waits = time.monotonic() + timeout, 0, hasattr(request, "wait_timeout")
        while True:
            left = max(0, deadline - time.monotonic())
            if waits:
                request.wait_timeout.FromMilliseconds(int(left * 1000))
            try:
                # One second more than the wait: the broker's own answer says more than a deadline that fired.
                return method(request, timeout=left + 1)
            except grpc.RpcError as raw:
                error = BrokerError(raw)
            over = time.monotonic() >= deadline - TOLERANCE
            if error.reason == "WAIT_TIMEOUT":
                if over:
                    raise WaitTimeout(error.message)
                continue  # the broker's longest wait is shorter than ours
            if over or not error.means_repeat:
                raise error
            time.sleep(min(max(error.retry_after, backoff(failures)), max(0, deadline - time.monotonic())))
            failures += 1


def spec_of(queue, data, job_id, fields):
    # With an id of our own the job can be asked for even if no answer came.
    payload = job_pb2.Payload(data=data, content_type="application/json")
    return job_pb2.JobSpec(queue=queue, job_id=job_id or str(uuid.uuid4()), payload=payload, **fields)


def status_of(error):
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return status_pb2.Status.FromString(details)


def backoff(failures):
    return random.uniform(0.5, 1) * min(5, 0.1 * 2 ** min(failures, 10))


def until_silent(stream, seconds):
    """The messages of a stream, which is cancelled when none has come for that long."""
    while True:
        timer = threading.Timer(seconds, stream.cancel)
        timer.daemon = True
        timer.start()
        try:
            message = next(stream, None)
        finally:
            timer.cancel()
        if message is None:
            return
        yield message


if __name__ == "__main__":
    address, queue, data, *job_id = sys.argv[1:]
    print(Caller(address).call(queue, data.encode(), *job_id).decode())
