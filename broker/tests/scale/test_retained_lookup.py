"""What a look-up in a million retained messages costs the other clients of its shard: next to nothing.

`a/+/c/#` finds every second one, and so leaves half of the store behind one topic at a time; `a/+/x/#` walks through
all of it and finds none. Another client of the same shard pings the broker without a pause while that goes on, and is
answered soon each time. One thread does all of it, so that what is measured is the broker and not this program.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator

import pytest

from broker_process import Broker
from packets import V311, Connect, Filter, Pingreq, Pingresp, Publish, Subscribe
from wire_client import Client

BRANCHES = 500_000
"""Each with two topics, `a/<number>/b` and `a/<number>/c`."""
BATCH = 5_000
"""Branches published with one write, and so the most that this program holds of them."""
MESSAGE = b"\x31\x0d\x00\x0aa/%06d/%cx"
"""PUBLISH of MQTT 3.1.1 with the number of a branch and the last level, the same on its way in and out."""
MESSAGE_BYTES = 15
PING_SECONDS_MAX = 0.1
ATTEMPTS = 5
"""What else the machine does only adds to the time of an answer; what the broker does is the same each time."""
PATIENCE_S = 60.0
MEMORY_KIB_MAX = 700 * 1024
"""Of the broker with all of them, kibibytes: some 300 bytes a message, and as much again for the allocator."""
MARKER, OTHER_MARKER = "z/marker", "z/other"

pytestmark = pytest.mark.ringmq_only("promises of ringmq")


def batches() -> Iterator[bytes]:
    """PUBLISH packets of all messages, in an order that is not that of the store."""
    assert MESSAGE % (7, b"c") == Publish("a/000007/c", b"x", retain=True).encode(V311)
    # A step without a divisor in common with their number comes by all of them.
    step = 7_919
    for first in range(0, BRANCHES, BATCH):
        numbers = (at * step % BRANCHES for at in range(first, first + BATCH))
        yield b"".join(MESSAGE % (number, level) for number in numbers for level in (b"b", b"c"))


def memory_kib(broker: Broker) -> int:
    with open(f"/proc/{broker.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def opened(broker: Broker, name: str) -> Client:
    client = Client(broker.address, V311)
    client.connect(Connect(name, V311))
    return client


@pytest.fixture(scope="module")
def filled(start_broker: Callable[..., Broker]) -> Broker:
    """A broker of one shard, where everybody is at home, with a million retained messages and two more."""
    assert os.environ.get("RINGMQ_SHARDS", "1") == "1", "one shard is what is tested"
    broker = start_broker("ringmq.shards=1")
    publisher = opened(broker, "publisher")
    publisher.socket.settimeout(PATIENCE_S)
    start = time.monotonic()
    for batch in batches():
        publisher.socket.sendall(batch)
    for topic in (MARKER, OTHER_MARKER):
        publisher.publish(topic, b"end", retain=True)
    publisher.send(Pingreq())
    publisher.expect(Pingresp, PATIENCE_S)
    print(f"{2 * BRANCHES} messages retained in {time.monotonic() - start:.1f} s, {memory_kib(broker) >> 10} MiB")
    publisher.drop()
    assert memory_kib(broker) < MEMORY_KIB_MAX
    return broker


class Pinger:
    """Pings without a pause, and remembers the longest time that an answer took."""

    def __init__(self, broker: Broker):
        self.socket = opened(broker, "pinger").socket
        self.socket.setblocking(False)
        self.longest = 0.0
        self.answers = 0
        self.ping()

    def ping(self) -> None:
        self.sent = time.monotonic()
        self.socket.send(b"\xc0\x00")

    def take(self) -> None:
        """Takes an answer that has come."""
        answer = self.socket.recv(2)
        assert answer == b"\xd0\x00", answer
        self.longest = max(self.longest, time.monotonic() - self.sent)
        self.answers += 1
        self.ping()

    def finish(self) -> None:
        """Waits for the answer that is still to come."""
        assert select.select([self.socket], [], [], PATIENCE_S)[0], "no answer"
        self.take()


def replay(broker: Broker, topic: str, marker: str) -> tuple[bytes, Pinger]:
    """Subscribes to `topic`, and then to `marker`, whose message comes after all of the other's.

    Gives what has come, and who pinged meanwhile.
    """
    reader, pinger = opened(broker, "reader"), Pinger(broker)
    for packet_id, wanted in enumerate((topic, marker), start=1):
        reader.send(Subscribe(packet_id, [Filter(wanted)]))
    reader.socket.setblocking(False)
    end = Publish(marker, b"end", retain=True).encode(V311)
    parts, last = [], b""
    deadline = time.monotonic() + PATIENCE_S
    while not last.endswith(end):
        assert time.monotonic() < deadline, f"{sum(map(len, parts))} bytes have come"
        ready, _, _ = select.select([reader.socket, pinger.socket], [], [], PATIENCE_S)
        if pinger.socket in ready:
            pinger.take()
        if reader.socket in ready:
            parts.append(reader.socket.recv(1 << 16))
            assert parts[-1], "the connection has ended"
            last = last[-len(end) :] + parts[-1]
    pinger.finish()
    pinger.socket.close()
    reader.drop()
    return b"".join(parts), pinger


def messages(told: bytes, marker: str) -> list[bytes]:
    """The packets before the marker's, without the answers to the two subscriptions."""
    told = told.removesuffix(Publish(marker, b"end", retain=True).encode(V311))
    for packet_id in (1, 2):
        suback = bytes([0x90, 3, 0, packet_id, 0])
        assert told.count(suback) == 1
        told = told.replace(suback, b"")
    return [told[at : at + MESSAGE_BYTES] for at in range(0, len(told), MESSAGE_BYTES)]


@pytest.mark.parametrize(
    ("topic", "branches", "marker"), [("a/+/c/#", BRANCHES, MARKER), ("a/+/x/#", 0, OTHER_MARKER)], ids=["half", "none"]
)
def test_nobody_waits_for_a_look_up(filled: Broker, topic: str, branches: int, marker: str) -> None:
    longest = []
    for _ in range(ATTEMPTS):
        start = time.monotonic()
        told, pinger = replay(filled, topic, marker)
        took = time.monotonic() - start
        found = sorted(messages(told, marker))
        assert len(found) == branches
        assert all(packet == MESSAGE % (number, b"c") for number, packet in enumerate(found))
        longest_ms = pinger.longest * 1e3
        print(f"{topic}: {branches} messages in {took:.2f} s, {pinger.answers} pings, {longest_ms:.1f} ms at most")
        longest.append(pinger.longest)
        if pinger.longest < PING_SECONDS_MAX:
            return
    pytest.fail(f"a ping was answered after {min(longest):.3f} s at the soonest of the longest")
