#!/usr/bin/env python3
"""Counts what a process asks of the kernel for a while. Usage: kernel.py PID SECONDS

Prints one JSON object: seconds, traced_seconds, system_calls, ring_requests, wake_ups, preemptions. System calls and the requests taken
from io_uring rings are perf's (tracepoints, which need root); null where there is no perf or no right. Wake-ups are the
voluntary context switches of all threads, preemptions the others. Counting slows the process, so nothing is timed in
the same run.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

EVENTS = {"system_calls": "raw_syscalls:sys_enter", "ring_requests": "io_uring:io_uring_submit_req"}


def switches(pid: int) -> tuple[int, int]:
    """Voluntary and involuntary context switches of all threads so far."""
    voluntary = involuntary = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                voluntary += int(line.split()[1])
            elif line.startswith("nonvoluntary_ctxt_switches:"):
                involuntary += int(line.split()[1])
    return voluntary, involuntary


def counted(output: str) -> dict[str, float | None]:
    """What `perf stat -x,` said, by our names."""
    by_event = {}
    for line in output.splitlines():
        fields = line.split(",")
        if len(fields) > 2:
            by_event[fields[2]] = int(fields[0]) if fields[0].isdigit() else None
    # An event that did not happen is "not counted"; that is 0 if the other one was, as with a server without io_uring.
    known = any(by_event.get(event) is not None for event in EVENTS.values())
    counts = {name: (by_event.get(event) or 0) if known else None for name, event in EVENTS.items()}
    # perf needs a while to start and to end, in which it does not count.
    return counts | {"traced_seconds": (by_event.get("duration_time") or 0) / 1e9}


def main() -> None:
    pid, seconds = int(sys.argv[1]), float(sys.argv[2])
    before, started = switches(pid), time.monotonic()
    command = ["perf", "stat", "-x,", "-e", ",".join([*EVENTS.values(), "duration_time"]), "-p", str(pid), "--", "sleep", str(seconds)]
    try:
        perf = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
        # Without the right to trace, perf fails at once.
        counts = counted(perf.stderr) if perf.returncode == 0 else dict.fromkeys(EVENTS)
    except FileNotFoundError:
        counts = dict.fromkeys(EVENTS)
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    elapsed, after = time.monotonic() - started, switches(pid)
    counts |= {"wake_ups": after[0] - before[0], "preemptions": after[1] - before[1]}
    print(json.dumps({"seconds": round(elapsed, 3)} | counts))


if __name__ == "__main__":
    main()
