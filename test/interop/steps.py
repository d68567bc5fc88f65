"""The example's caller, one step after the other: python steps.py ADDRESS; JSON of the steps on stdin, a line of JSON on stdout for each.

A step is {"call": QUEUE, "data", ...} or {"wait": QUEUE, "job_id", ...}, with the arguments of Caller's methods, or
{"enqueue": QUEUE, "job_id", "request": N}, which sends one Enqueue whose request_id is N, with the gRPC stub.
"""
import json, sys

import grpc
from caller import Caller, refusal
from queuecall.v1 import broker_pb2, job_pb2


def enqueue(queue, job_id, request):
    spec = job_pb2.JobSpec(queue=queue, job_id=job_id)
    spec.payload.data, spec.payload.content_type = json.dumps({"key": job_id}).encode(), "application/json"
    answer = caller.broker.Enqueue(broker_pb2.EnqueueRequest(spec=spec, request_id=request.to_bytes(16, "big")))
    return job_pb2.Disposition.Name(answer.disposition)


def take(step):
    for method in ("call", "wait"):
        if method in step:
            arguments = {**step, "queue": step[method]}
            del arguments[method]
            if "data" in arguments:
                arguments["data"] = json.dumps(arguments["data"]).encode()
            return json.loads(getattr(caller, method)(**arguments))
    return enqueue(step.pop("enqueue"), **step)


def answer(step):
    try:
        return {"ok": take(step)}
    except grpc.RpcError as error:
        return {"refused": error.code().name, "reason": refusal(error)[0]}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


caller = Caller(sys.argv[1])
for step in json.load(sys.stdin):
    print(json.dumps(answer(step)), flush=True)
