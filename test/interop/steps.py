"""The example's caller, one step after the other: python steps.py ADDRESS; JSON of the steps on stdin, a line of JSON on stdout for each.

A step names a method of Caller and a queue, and has its arguments: {"call": QUEUE, "data", ...}, {"wait": QUEUE, "job_id"}.
{"send": QUEUE, "job_id", "request": N} sends one Enqueue whose request_id is N, with the gRPC stub.
"""
import json, sys

from caller import BrokerError, Caller
from queuecall.v1 import broker_pb2, job_pb2


def send(queue, job_id, request):
    spec = job_pb2.JobSpec(queue=queue, job_id=job_id)
    spec.payload.data, spec.payload.content_type = json.dumps({"key": job_id}).encode(), "application/json"
    answer = caller.broker.Enqueue(broker_pb2.EnqueueRequest(spec=spec, request_id=request.to_bytes(16, "big")))
    return job_pb2.Disposition.Name(answer.disposition)


def take(step):
    name, queue = next(iter(step.items()))
    arguments = {"queue": queue, **{key: value for key, value in step.items() if key != name}}
    if name == "send":
        return send(**arguments)
    if "data" in arguments:
        arguments["data"] = json.dumps(arguments["data"]).encode()
    result = getattr(caller, name)(**arguments)
    if name == "watch":
        return [state(job.state) for job in result]
    if name == "cancel":
        return state(result)
    return result if name == "enqueue" else json.loads(result)


def state(number):
    return job_pb2.JobState.Name(number).removeprefix("JOB_STATE_")


def answer(step):
    try:
        return {"ok": take(step)}
    except BrokerError as error:
        return {"refused": error.code.name, "reason": error.reason}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


caller = Caller(sys.argv[1])
for step in json.load(sys.stdin):
    print(json.dumps(answer(step)), flush=True)
