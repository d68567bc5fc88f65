"""Ordinary calls of a stub: python calls.py ADDRESS. Calls on stdin, as JSON: {"url", "width", "job_id", "seconds"}, all at once; a line for each, in their order."""
import json, sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from acme.v1 import thumbnailer_pb2, thumbnailer_pb2_grpc

thumbnailer = thumbnailer_pb2_grpc.ThumbnailerStub(grpc.insecure_channel(sys.argv[1]))


def render(call):
    metadata = [("queuecall-job-id", call["job_id"])] if "job_id" in call else []
    metadata += [("x-tenant", "acme"), ("x-trace-bin", b"\x00\xff")]
    request = thumbnailer_pb2.RenderRequest(url=call["url"], width=call.get("width", 0))
    try:
        response, done = thumbnailer.Render.with_call(request, metadata=metadata, timeout=call.get("seconds", 60))
    except grpc.RpcError as error:
        return {"code": error.code().name, "message": error.details()}
    disposition = dict(done.initial_metadata()).get("queuecall-disposition", "")
    return {"image": response.image.decode(), "media_type": response.media_type, "disposition": disposition}


with ThreadPoolExecutor(500) as pool:
    for answer in pool.map(render, json.load(sys.stdin)):
        print(json.dumps(answer), flush=True)
