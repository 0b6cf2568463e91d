"""A subscriber that stops reading: the Server's memory stays bounded and others are not held up (Q3)."""

import pytest

from packets import PUBACK, Connect, Publish
from wire_client import Client, ConnectionClosed, CutOff, Overdue

PAYLOAD = b"x" * 8192
BATCH, BATCHES = 100, 120
GROWTH_LIMIT_KIB = 48 * 1024
"""Allowed growth of the broker's memory, KiB: half of the 96 MB published, above a queue of 1000 and full buffers."""


def memory(pid: int) -> int:
    """Resident set of a process, KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("qos", [0, 1])
def test_bounded_and_others_unaffected(connect, unique, start_broker, qos):
    to = start_broker()
    slow = Client(to.address, receive_buffer=4096)
    slow.connect(Connect(unique))
    slow.subscribe(unique, qos=qos)
    fast, publisher = connect(to=to), connect(to=to)
    fast.subscribe(unique, qos=0)
    before = memory(to.process.pid)
    for batch in range(BATCHES):
        first = batch * BATCH
        publisher.send(
            *(Publish(unique, b"%08d" % (first + at) + PAYLOAD, qos, packet_id=at + 1) for at in range(BATCH))
        )
        for at in range(BATCH):
            assert int(fast.receive_publish().payload[:8]) == first + at
            if qos:
                publisher.expect_ack(PUBACK, at + 1)
    assert memory(to.process.pid) - before < GROWTH_LIMIT_KIB
    publisher.ping()
    fast.ping()
    # What the slow one still gets is in order, whether or not it was disconnected.
    last, count = -1, 0
    try:
        while True:
            number = int(slow.receive_publish(0.5).payload[:8])
            assert number > last
            last, count = number, count + 1
    except (Overdue, ConnectionClosed, CutOff):
        pass
    assert 0 < count < BATCH * BATCHES
    to.terminate()
