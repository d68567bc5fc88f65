"""A minimal worker. It answers {"name": "Ada"} with {"greeting": "Hello, Ada!"}: python minimal_worker.py ADDRESS QUEUE"""
import itertools, json, queue, random, socket, sys, threading, time

import grpc
from queuecall.v1 import worker_pb2 as wire, worker_pb2_grpc

OPTIONS = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000),  # finds connections that are dead
           ("grpc.http2.max_pings_without_data", 0), ("grpc.max_reconnect_backoff_ms", 1_000)]


def work(address, name, handle, window=4, **announced):
    """Serves a queue for ever. handle: delivery → bytes, in a thread for each of `window` jobs; what it raises is a failure."""
    stub = worker_pb2_grpc.WorkerServiceStub(grpc.insecure_channel(address, OPTIONS))
    hello = wire.Hello(protocol_version=1, worker_id=socket.gethostname(), window=window, renew_on_pong=True)
    hello.subscriptions.add(queue=name, **announced)
    ids, due, failures = itertools.count(1), {}, 0  # due: settlements without an answer

    def settle(settle_id):
        if settlement := due.get(settle_id):  # said to a stream that ended it stays due: the next one begins with it
            out.put(wire.WorkRequest(frame=wire.WorkerFrame(settlements=[settlement])))

    def run(job):
        end = wire.Settlement(settle_id=next(ids), queue=job.queue, job_id=job.job_id, lease_token=job.lease_token)
        try:
            end.completed.payload.data = handle(job)
            end.completed.payload.content_type = job.payload.content_type
        except Exception as error:
            status = dict(code=getattr(error, "status_code", 2), message=str(error))  # 2: UNKNOWN
            end.failed.MergeFrom(wire.Failed(type=type(error).__name__, status=status))
        due[end.settle_id] = end  # due, then out; the loop below takes out, then due: none is missed
        settle(end.settle_id)

    while True:
        stream = out = queue.SimpleQueue()
        stream.put(wire.WorkRequest(hello=hello))
        for settle_id in list(due):
            settle(settle_id)  # each in a frame of its own: together they may be more than a message holds
        try:
            for message in stub.Work(iter(stream.get, None)):
                frame, failures = message.frame, 0
                if frame.seq:
                    stream.put(wire.WorkRequest(frame=wire.WorkerFrame(received_seq=frame.seq)))
                if frame.HasField("ping"):
                    stream.put(wire.WorkRequest(frame=wire.WorkerFrame(pong=wire.Pong(nonce=frame.ping.nonce))))
                for answer in frame.settled:
                    if wire.Settled.RESULT_OK <= answer.result <= wire.Settled.RESULT_REJECTED:  # else RETRY
                        due.pop(answer.settle_id, None)
                    else:
                        threading.Timer(1, settle, [answer.settle_id]).start()
                for job in frame.deliveries:
                    threading.Thread(target=run, args=[job], daemon=True).start()
        except grpc.RpcError as error:
            print(f"the stream ended: {error.details()}", file=sys.stderr)
        stream.put(None)  # ends the thread of gRPC that reads from it
        time.sleep(random.uniform(0.5, 1) * min(5, 0.1 * 2 ** min(failures, 10)))
        failures += 1


if __name__ == "__main__":
    work(*sys.argv[1:3], lambda job: json.dumps({"greeting": f"Hello, {json.loads(job.payload.data)['name']}!"}).encode())
