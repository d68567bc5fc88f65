"""A minimal worker. It answers {"name": "Ada"} with {"greeting": "Hello, Ada!"}: python minimal_worker.py ADDRESS QUEUE"""
import itertools, json, queue, random, socket, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

import grpc
from queuecall.v1 import worker_pb2 as wire, worker_pb2_grpc

KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000)]  # finds dead connections


def work(address, name, handle, window=4):
    """Serves a queue for ever. handle: bytes → bytes, on up to `window` threads; what it raises is a failure."""
    pool, ids, failures, due = ThreadPoolExecutor(window), itertools.count(1), 0, {}  # due: settlements without an answer
    hello = dict(protocol_version=1, worker_id=socket.gethostname(), window=window, renew_on_pong=True)

    def say(**frame):
        out.put(wire.WorkRequest(frame=wire.WorkerFrame(**frame)))

    def run(job):
        lease = dict(queue=job.queue, job_id=job.job_id, lease_token=job.lease_token)
        settlement = wire.Settlement(settle_id=next(ids), **lease)
        try:
            settlement.completed.payload.data = handle(job.payload.data)
            settlement.completed.payload.content_type = job.payload.content_type
        except Exception as error:
            settlement.failed.type = type(error).__name__
            settlement.failed.status.code, settlement.failed.status.message = 2, str(error)  # 2: UNKNOWN
        due[settlement.settle_id] = settlement
        say(settlements=[settlement])

    while True:
        fresh = queue.SimpleQueue()
        fresh.put(wire.WorkRequest(hello=wire.Hello(subscriptions=[wire.Subscription(queue=name)], **hello)))
        out = fresh
        for settlement in list(due.values()):
            say(settlements=[settlement])  # each in a frame of its own: together they may be more than a message holds
        try:
            with grpc.insecure_channel(address, KEEPALIVE) as channel:
                for message in worker_pb2_grpc.WorkerServiceStub(channel).Work(iter(fresh.get, None)):
                    frame, failures = message.frame, 0
                    if frame.seq:
                        say(received_seq=frame.seq)
                    if frame.HasField("ping"):
                        say(pong=wire.Pong(nonce=frame.ping.nonce))
                    for answer in frame.settled:
                        settlement = due.pop(answer.settle_id, None)
                        if settlement and answer.result == wire.Settled.RESULT_RETRY:
                            due[answer.settle_id] = settlement
                            threading.Timer(1, say, kwargs={"settlements": [settlement]}).start()
                    for job in frame.deliveries:
                        pool.submit(run, job)
        except grpc.RpcError as error:
            print(f"the stream ended: {error.details()}", file=sys.stderr)
        fresh.put(None)  # ends gRPC's reading of it
        time.sleep(min(5, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1))
        failures += 1


if __name__ == "__main__":
    work(*sys.argv[1:3], lambda data: json.dumps({"greeting": f"Hello, {json.loads(data)['name']}!"}).encode())
