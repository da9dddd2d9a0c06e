"""Runs one workload in step with other frameworks; see crates/jaxnet-examples/src/bin/workload.rs."""

import json
import resource
import sys
import time


def serve(version, workloads):
    """`workloads`: from a name to a function that sets it up and returns one step."""
    step = workloads[sys.argv[1]]()

    def timed():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    print(json.dumps({"version": version, "first_step_s": timed()}), flush=True)
    for line in sys.stdin:
        print(json.dumps([1e3 * timed() for _ in range(int(line))]), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak}), flush=True)
