"""A full queue holds its publishers back (`ringmq.queue_full_policy = back_pressure`): nothing is lost, for a while."""

import contextlib
import socket
import time

import pytest

from packets import PINGRESP, PUBACK, V5, Connect, Pingreq, Publish
from wire_client import Client, Overdue

pytestmark = pytest.mark.ringmq_only("back-pressure by queue")

QUEUE = ("mqtt.max_inflight=4", "mqtt.max_mqueue_len=20")
BACK_PRESSURE = ("ringmq.queue_full_policy=back_pressure", *QUEUE)
PATIENCE = 30.0
"""Seconds until something that has to come is overdue."""
PING_INTERVAL = 0.3
"""Seconds between the pings of a publisher that has nothing left to send: well below its keep alive."""
COUNT = 3000
PAYLOAD = b"x" * 2000
"""Large enough that the queue, and not the kernel's buffers, holds most of what is published."""


class Publisher:
    """Sends as much as the broker takes, and counts acknowledgements, without ever waiting for either."""

    def __init__(self, client, topic):
        self.socket, self.acknowledged = client.socket, 0
        packets = (Publish(topic, b"%08d" % at + PAYLOAD, 1, packet_id=at + 1) for at in range(COUNT))
        self.rest = memoryview(b"".join(packet.encode(client.version) for packet in packets))
        self.answers = b""
        self.ping_at = 0.0
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self.socket.setblocking(False)

    def go_on(self):
        """Sends and reads what it can now; true if anything moved."""
        before = len(self.rest), self.acknowledged
        with contextlib.suppress(BlockingIOError):
            while self.rest:
                self.rest = self.rest[self.socket.send(self.rest[: 1 << 16]) :]
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data := self.socket.recv(1 << 16):
                self.answers += data
        while len(self.answers) >= 2 and len(self.answers) >= 2 + self.answers[1]:
            assert self.answers[0] in (PUBACK << 4, PINGRESP << 4), self.answers[:4]
            self.acknowledged += self.answers[0] == PUBACK << 4
            self.answers = self.answers[2 + self.answers[1] :]
        if not self.rest and time.monotonic() >= self.ping_at:
            # All has been taken, so nobody holds it back any more, and it has to be heard of.
            self.ping_at = time.monotonic() + PING_INTERVAL
            with contextlib.suppress(BlockingIOError):
                self.socket.send(Pingreq().encode(V5))
        return (len(self.rest), self.acknowledged) != before

    def finish(self):
        """Waits for the last acknowledgement."""
        deadline = time.monotonic() + PATIENCE
        while self.acknowledged < COUNT:
            self.go_on()
            assert time.monotonic() < deadline, f"{self.acknowledged} messages are acknowledged"


def until_they_stand_still(*publishers):
    """Lets publishers go on until the broker takes nothing more from any of them."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 1.0:
        # All of them: one that was only taken for held back, while the machine had no time, must not fall silent.
        if any([publisher.go_on() for publisher in publishers]):
            quiet_since = time.monotonic()
    assert all(each.acknowledged < COUNT / 2 for each in publishers), "most is still with the publishers"


def test_a_slow_client_loses_nothing(connect, unique, broker_with):
    """Clients enough that publishers live on the subscriber's shard and on others. Every acknowledged message comes."""
    to = broker_with(*BACK_PRESSURE, "ringmq.back_pressure.patience=1m")
    slow = Client(to.address, receive_buffer=4096)
    slow.connect(Connect(unique, keep_alive=0))
    slow.subscribe(f"{unique}/+", qos=1)
    publishers = []
    for at in range(4):
        publishers.append(Publisher(connect(to=to, keep_alive=1), f"{unique}/{at}"))
        until_they_stand_still(*publishers)
    # Their keep alive of a second is long over: who is not read cannot be heard.
    got = {at: [] for at in range(4)}
    received = 0
    deadline = time.monotonic() + 2 * PATIENCE
    while received < 4 * COUNT:
        assert time.monotonic() < deadline, f"{received} messages have come"
        for publisher in publishers:
            publisher.go_on()
        try:
            publish = slow.receive_publish(0.05)
        except Overdue:
            continue
        got[int(publish.topic.rsplit("/", 1)[1])].append(int(publish.payload[:8]))
        received += 1
    assert all(numbers == list(range(COUNT)) for numbers in got.values()), "each once and in order"
    for publisher in publishers:
        publisher.finish()


def test_a_dead_client_does_not_stop_the_world(connect, unique, broker_with):
    to = broker_with(*BACK_PRESSURE, "ringmq.back_pressure.patience=500ms")
    dead = connect(to=to)
    dead.subscribe(unique, qos=1)
    publisher = Publisher(connect(to=to), unique)
    publisher.finish()
    # What it has in flight, and the newest.
    numbers = [int(dead.receive_publish().payload[:8])]
    while numbers[-1] < COUNT - 1:
        numbers.append(int(dead.receive_publish().payload[:8]))
    assert numbers[:4] == [0, 1, 2, 3] and numbers == sorted(set(numbers)) and len(numbers) < COUNT


def test_the_topic_decides(connect, unique, broker_with):
    """Alarms hold their publisher back, values are dropped."""
    to = broker_with(*QUEUE, 'ringmq.queue_full_policies=[{topic = "alarms/#", policy = back_pressure}]')
    slow = connect(to=to)
    slow.subscribe(f"+/{unique}", qos=1)
    values = connect(to=to)
    for number in range(100):
        values.publish(f"values/{unique}", b"%08d" % number, 1, reasons=(0,))
    alarms = Publisher(connect(to=to), f"alarms/{unique}")
    until_they_stand_still(alarms)
    for number in range(100, 200):
        values.publish(f"values/{unique}", b"%08d" % number, 1, reasons=(0,))
    got = []
    deadline = time.monotonic() + PATIENCE
    while len(got) < COUNT:
        assert time.monotonic() < deadline, f"{len(got)} alarms have come"
        alarms.go_on()
        try:
            publish = slow.receive_publish(0.05)
        except Overdue:
            continue
        if publish.topic.startswith("alarms/"):
            got.append(int(publish.payload[:8]))
    assert got == list(range(COUNT))
