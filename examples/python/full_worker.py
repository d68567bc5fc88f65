"""A full worker: its leases outlive streams and brokers, its handlers stop when they should, SIGTERM drains it.

python full_worker.py ADDRESS[,ADDRESS …] QUEUE[,QUEUE …]

The protocol runs on an asyncio loop that handlers cannot block; each handler has a thread. The example counts: {"to": 3}
is answered by {"counted": 3}, a step each second.
"""
import asyncio, itertools, json, os, random, signal, socket, sys, threading, time

import grpc
from google.rpc import error_details_pb2, status_pb2
from queuecall.v1 import worker_pb2 as wire, worker_pb2_grpc

OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
]
WELCOME_TIME = 10
REPORT_EVERY = 0.2
MAX_LEASES_A_FRAME = 1_000


class Stopped(Exception):
    """Raised in a handler that should stop. Its text: cancelled, released, lost or out of time."""


class Job:
    """One attempt, as its handler sees it. Handlers that never look at it run to their end, and may run in vain."""

    def __init__(self, delivery, stream, report):
        self.job_id, self.data = delivery.job_id, delivery.payload.data
        self.attempt, self.fence, self.stream = delivery.attempt, delivery.fence, stream  # the stream that has the lease
        self.lease = dict(queue=delivery.queue, job_id=delivery.job_id, lease_token=delivery.lease_token)
        self.proven = time.monotonic()  # the lease was ours then
        limit = delivery.run_timeout_left.ToMilliseconds() / 1000
        self.deadline = self.proven + limit if limit else float("inf")
        self.why = ""
        self._stop, self._report = threading.Event(), report

    def sleep(self, seconds):
        """Sleeps, but no longer than the job is wanted. With 0 it only looks."""
        if self._stop.wait(seconds):
            raise Stopped(self.why)

    def progress(self, current, total=0, message=""):
        """Says how far it is. The newest report wins."""
        self._report(self, dict(current=current, total=total, message=message))

    def stop(self, why):
        if self.why != "lost":
            self.why = why
            self._stop.set()


class Stream:
    """One stream, and what is said on it. Ends by itself; `ended` then has the reason to log."""

    def __init__(self, stub, hello, hear):
        self.welcome, self.drained, self.retry_after = asyncio.Future(), asyncio.Event(), 0
        self._call, self._hear, self._heard = stub.Work(), hear, time.monotonic()
        self._out, self._nonces, self._pings = asyncio.Queue(), itertools.count(1), {}
        self._out.put_nowait(wire.WorkRequest(hello=hello))
        self.ended = asyncio.create_task(self._run())

    @property
    def welcomed(self):
        return self.welcome.done() and not self.welcome.cancelled()

    def say(self, **frame):
        self._out.put_nowait(wire.WorkRequest(frame=wire.WorkerFrame(**frame)))

    def say_surely(self, jobs, **frame):
        """With a ping: its pong proves that the frame has arrived, and so the leases of these jobs."""
        nonce = next(self._nonces)
        self._pings[nonce] = (time.monotonic(), jobs)
        self.say(ping=wire.Ping(nonce=nonce), **frame)

    def half_close(self):
        self._out.put_nowait(None)

    async def _run(self):
        writing, watching = asyncio.create_task(self._write()), asyncio.create_task(self._watch())
        try:
            async for message in self._call:
                self._heard = time.monotonic()
                if message.HasField("welcome"):
                    self.welcome.set_result(message.welcome)
                elif message.HasField("frame"):
                    self._read(message.frame)
            return "OK"
        except grpc.aio.AioRpcError as error:
            return self._reason(error)
        except asyncio.CancelledError:
            return "silence"  # it was _watch
        finally:
            for each in (writing, watching, self.welcome):
                each.cancel()

    def _read(self, frame):
        if frame.HasField("ping"):
            self.say(pong=wire.Pong(nonce=frame.ping.nonce))
        if frame.HasField("pong"):
            then, jobs = self._pings.pop(frame.pong.nonce, (0, []))
            for job in jobs:
                job.proven = max(job.proven, then)
        self._hear(self, frame)
        if frame.HasField("drain"):
            self.drained.set()

    async def _write(self):
        try:
            while (message := await self._out.get()) is not None:
                await self._call.write(message)
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # the reader has the reason

    async def _watch(self):
        """Pings when it is quiet; a stream that stays silent is ended."""
        interval = WELCOME_TIME / 2.5
        while time.monotonic() - self._heard < 2.5 * interval:
            await asyncio.sleep(interval / 4)
            if self.welcomed:
                interval = self.welcome.result().ping_interval.ToMilliseconds() / 1000
                if time.monotonic() - self._heard > interval:
                    self.say_surely([])
        self._call.cancel()

    def _reason(self, error):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        for detail in status_pb2.Status.FromString(status).details:
            detail.Unpack(info) or detail.Unpack(retry)
        self.retry_after = retry.retry_delay.ToMilliseconds() / 1000
        return f"{error.code().name} {info.reason}: {error.details()}"


class Worker:
    """handle: Job → bytes (JSON). What it raises is a failure; Stopped is none."""

    def __init__(self, addresses, queues, handle, window=4):
        self.addresses, self.queues, self.handle, self.window = addresses, queues, handle, window
        self.session = os.urandom(16).hex()
        self.jobs, self.reports = {}, {}  # by lease token
        self.due = {}  # settlements without an answer, by settle_id
        self.ids, self.retries, self.streams = itertools.count(1), {}, 0
        self.stream, self.lease, self.draining = None, 30, asyncio.Event()

    async def run(self):
        """Works until drain() was called and nothing is left."""
        self.loop = asyncio.get_running_loop()
        channels = [grpc.aio.insecure_channel(address, OPTIONS) for address in self.addresses]
        self.stubs = itertools.cycle([worker_pb2_grpc.WorkerServiceStub(channel) for channel in channels])
        keeping = [asyncio.create_task(self._renew()), asyncio.create_task(self._tell_progress())]
        try:
            await self._keep_a_stream()
        finally:
            for task in keeping:
                task.cancel()

    async def drain(self, patience=25):
        """No more jobs. What still runs after `patience` seconds is handed back."""
        self.draining.set()
        if self.stream:
            self.stream.say(drain=wire.Drain(reason="shutdown"))
        await asyncio.sleep(patience)
        for job in self.jobs.values():
            job.stop("released")

    # ── streams ──

    async def _keep_a_stream(self):
        failures, old, done = 0, None, asyncio.create_task(self._done())
        while not done.done():
            stream = await self._open()
            if old and stream.welcomed:
                old.half_close()  # the new one has taken its leases over
            if stream.welcomed:
                failures = 0
                moved = asyncio.create_task(self._told_to_move(stream))
                await asyncio.wait([stream.ended, moved, done], return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
                if moved.done() and not stream.ended.done():
                    old = stream
                    continue
            if not done.done():
                self.stream = old if old and not old.ended.done() else None
                print(f"the stream ended: {await stream.ended}", file=sys.stderr)
                await asyncio.sleep(max(stream.retry_after, backoff(failures)))
                failures += 1
        if self.stream:
            self.stream.half_close()
            await asyncio.wait([self.stream.ended], timeout=5)

    async def _open(self):
        hello = wire.Hello(protocol_version=1, worker_id=socket.gethostname(), session_id=self.session)
        hello.window = 0 if self.draining.is_set() else self.window
        hello.subscriptions.extend(wire.Subscription(queue=queue) for queue in self.queues)
        if self.streams:
            held = [job.lease for job in self.jobs.values() if job.why != "lost"]
            held += [lease_of(settlement) for settlement in self.due.values()]
            hello.held.extend(wire.HeldLease(**lease) for lease in held)
        stream = Stream(next(self.stubs), hello, self._hear)
        await asyncio.wait([stream.welcome], timeout=WELCOME_TIME)
        if stream.welcomed:
            self.streams += 1
            self.stream, self.lease = stream, stream.welcome.result().lease.ToMilliseconds() / 1000
            for settlement in self.due.values():
                stream.say(settlements=[settlement])
            if self.draining.is_set():
                stream.say(drain=wire.Drain(reason="shutdown"))
        return stream

    async def _told_to_move(self, stream):
        await stream.drained.wait()
        if self.draining.is_set():
            await asyncio.Event().wait()  # it was the answer to our own

    async def _done(self):
        await self.draining.wait()
        while self.jobs or self.due or not (self.stream and self.stream.drained.is_set()):
            await asyncio.sleep(0.05)

    # ── what the broker says ──

    def _hear(self, stream, frame):
        for ref in frame.adopted:
            if job := self.jobs.get(ref.lease_token):
                job.proven, job.stream = time.monotonic(), stream
        for ref in frame.lost:
            if job := self.jobs.get(ref.lease_token):
                job.stop("lost")
        for ref in frame.cancels:
            if job := self.jobs.get(ref.lease_token):
                job.stop("cancelled")
        for answer in frame.settled:
            self._settled(answer)
        if frame.seq:
            jobs = [self._start(delivery, stream) for delivery in frame.deliveries]
            stream.say_surely(jobs, received_seq=frame.seq)

    def _start(self, delivery, stream):
        job = self.jobs[delivery.lease_token] = Job(delivery, stream, self._note_progress)
        threading.Thread(target=self._run_handler, args=[job], daemon=True).start()
        return job

    def _settled(self, answer):
        if wire.Settled.RESULT_OK <= answer.result <= wire.Settled.RESULT_REJECTED:
            self.due.pop(answer.settle_id, None)
            self.retries.pop(answer.settle_id, None)
        else:  # RETRY
            tries = self.retries[answer.settle_id] = self.retries.get(answer.settle_id, 0) + 1
            self.loop.call_later(backoff(tries), self._send, answer.settle_id)

    # ── what becomes of jobs ──

    def _run_handler(self, job):
        settlement = wire.Settlement(settle_id=next(self.ids), **job.lease)
        try:
            settlement.completed.payload.data = self.handle(job)
            settlement.completed.payload.content_type = "application/json"
        except Stopped:
            if job.why == "cancelled":
                settlement.cancelled.SetInParent()
            elif job.why == "released":
                settlement.released.SetInParent()
        except Exception as error:
            status = dict(code=2, message=str(error))  # UNKNOWN
            settlement.failed.MergeFrom(wire.Failed(type=type(error).__name__, status=status))
        self.loop.call_soon_threadsafe(self._ended, job, settlement)

    def _ended(self, job, settlement):
        self.jobs.pop(job.lease["lease_token"], None)
        self.reports.pop(job.lease["lease_token"], None)
        if job.why == "lost" or not settlement.WhichOneof("outcome"):
            return
        self.due[settlement.settle_id] = settlement
        self._send(settlement.settle_id)

    def _send(self, settle_id):
        if self.stream and settle_id in self.due:
            self.stream.say(settlements=[self.due[settle_id]])

    def _note_progress(self, job, progress):
        self.loop.call_soon_threadsafe(self.reports.__setitem__, job.lease["lease_token"], (job, progress))

    # ── what time brings ──

    async def _renew(self):
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(min(1, self.lease / 20))
            now = time.monotonic()
            for job in self.jobs.values():
                if now >= job.deadline or now - job.proven > 0.9 * self.lease:
                    job.stop("out of time")
            if self.stream and now - renewed >= self.lease / 3:
                renewed, jobs = now, [job for job in self.jobs.values() if job.why != "lost"]
                for i in range(0, len(jobs), MAX_LEASES_A_FRAME):
                    part = jobs[i : i + MAX_LEASES_A_FRAME]
                    self.stream.say_surely(part, renewals=[wire.Renewal(**job.lease) for job in part])

    async def _tell_progress(self):
        while True:
            await asyncio.sleep(REPORT_EVERY)
            # Only on the stream that has the lease: after a change of streams, once the job is adopted.
            ready = {token: each for token, each in self.reports.items() if each[0].stream is self.stream}
            if ready:
                reports = [wire.ProgressReport(progress=said, **job.lease) for job, said in ready.values()]
                self.stream.say(progress=reports)
                self.reports = {token: each for token, each in self.reports.items() if token not in ready}


def lease_of(settlement):
    return dict(queue=settlement.queue, job_id=settlement.job_id, lease_token=settlement.lease_token)


def backoff(failures):
    return random.uniform(0.5, 1) * min(5, 0.1 * 2 ** min(failures, 10))


def count(job):
    to = json.loads(job.data)["to"]
    for step in range(to):
        job.progress(step, to)
        job.sleep(1)
    return json.dumps({"counted": to}).encode()


async def main(addresses, queues):
    worker = Worker(addresses.split(","), queues.split(","), count)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(worker.drain()))
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
