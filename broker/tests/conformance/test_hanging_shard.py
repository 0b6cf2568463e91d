"""`/status` when a shard does not answer: one thread of the broker is stopped as a debugger stops it, the others run."""

import ctypes
import http.client
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker_process import Broker

PTRACE_ATTACH = 16
PTRACE_DETACH = 17
WALL = 0x40000000
"""waitpid: threads too, whatever signal they end with."""
PATIENCE = 20.0
"""Seconds for an HTTP answer; the broker gives its shards five."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def thread_named(process: int, name: str) -> int:
    for task in Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"no thread {name}")


@contextmanager
def stopped(thread: int) -> Iterator[None]:
    """Stops one thread; skips the test where that is not allowed."""
    if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
        pytest.skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
    try:
        os.waitpid(thread, WALL)
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


def status(address: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("GET", "/status")
    answer = connection.getresponse()
    return answer.status, answer.getheader("retry-after"), answer.read().decode()


def monitoring_address(broker: Broker) -> str:
    found = re.search(rb"monitoring +http://(\S+)/metrics", broker.output)
    assert found, broker.describe()
    return found[1].decode()


@pytest.mark.ringmq_only("the port for monitoring")
def test_a_hanging_shard_is_told_and_so_is_its_recovery(connect, start_broker):
    broker = start_broker("ringmq.monitoring_bind=127.0.0.1:0")
    address = monitoring_address(broker)
    assert status(address) == (200, None, "ringmq is running\n")
    client = connect(to=broker)
    with stopped(thread_named(broker.process.pid, "shard-0")):
        start = time.monotonic()
        assert status(address) == (503, "15", "ringmq is stopped\n")
        assert time.monotonic() - start < PATIENCE
    assert status(address) == (200, None, "ringmq is running\n")
    client.ping()
