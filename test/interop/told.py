"""The example's minimal worker with a handler that can be told what to do. One line on stdout for each run.

python told.py ADDRESS QUEUE; payload: {"key", "value", "ms": how long it takes, "fail": how many runs fail first}
"""
import collections, json, sys, time

from minimal_worker import work

runs = collections.Counter()


def handle(delivery):
    job = json.loads(delivery.payload.data)
    runs[job["key"]] += 1
    print("run", job["key"], runs[job["key"]], flush=True)
    time.sleep(job.get("ms", 0) / 1000)
    if runs[job["key"]] <= job.get("fail", 0):
        raise ValueError(f"failure {runs[job['key']]} of {job['key']}")
    return json.dumps({"value": job.get("value"), "runs": runs[job["key"]]}).encode()


work(*sys.argv[1:3], handle)
