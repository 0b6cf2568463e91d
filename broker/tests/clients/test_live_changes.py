"""Settings, zones, listeners and rules of rewriting change under load, and nobody notices: no message is lost or comes
twice or out of order, and a change holds on all shards once it is confirmed, or on none."""

from __future__ import annotations

import itertools
import queue
import socket
import subprocess
import threading
from collections import deque
from dataclasses import dataclass

import paho.mqtt.client as paho
import pytest

from broker_process import ringmq_binary

pytestmark = pytest.mark.ringmq_only("settings change while it runs")

TIMEOUT = 30.0
"""Seconds until something expected is overdue."""
PUBLISHERS = 6
"""Enough that some live on each of two shards."""
SUBSCRIBERS = 2
ROUNDS = 6
WINDOW = 16
"""Messages of a publisher that are not acknowledged, at most."""


class Control:
    """`ringmq ctl` of a broker."""

    def __init__(self, broker):
        self.socket = str(broker.workdir / "data" / "ringmq.sock")

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [str(ringmq_binary()), "ctl", "--socket", self.socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)

    def ask(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def set(self, key: str, value: str) -> None:
        self.ask("conf", "set", key, value)

    def refused(self, key: str, value: str) -> str:
        done = self.run("conf", "set", key, value)
        assert done.returncode == 1, f"{key} {value} was not refused: {done.stdout}"
        return done.stderr


def connected(address, name: str, version: int) -> paho.Client:
    accepted: queue.Queue = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=version)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: accepted.put(reason)
    client.max_inflight_messages_set(WINDOW)
    client.connect(*address, keepalive=60)
    client.loop_start()
    assert accepted.get(timeout=TIMEOUT) == 0
    return client


@dataclass
class Generation:
    """The latest rules of rewriting that the broker has confirmed."""

    number: int = 0


class Publisher(threading.Thread):
    """Publishes numbered messages at QoS 1 until it is told to stop, and waits for every acknowledgement.

    A payload says which message it is and which rules were in force for certain when it was published.
    """

    def __init__(self, address, name: str, topic: str, version: int, generation: Generation):
        super().__init__(daemon=True)
        self.topic, self.generation = topic, generation
        self.client = connected(address, name, version)
        self.lost_connection = threading.Event()
        self.client.on_disconnect = lambda *_: self.lost_connection.set()
        self.ended = threading.Event()
        self.sent = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            unacknowledged: deque = deque()
            while not self.ended.is_set():
                payload = f"{self.topic} {self.sent} {self.generation.number}"
                unacknowledged.append(self.client.publish(self.topic, payload, qos=1))
                self.sent += 1
                if len(unacknowledged) >= WINDOW:
                    unacknowledged.popleft().wait_for_publish(TIMEOUT)
            for each in unacknowledged:
                each.wait_for_publish(TIMEOUT)
                assert each.is_published()
        except Exception as error:  # told by the test's own thread
            self.failure = error

    def finish(self) -> None:
        self.ended.set()
        self.join(TIMEOUT)
        assert not self.is_alive(), f"{self.topic} waits for an acknowledgement"
        assert self.failure is None, self.failure
        assert not self.lost_connection.is_set(), f"{self.topic} was disconnected"
        self.client.disconnect()
        self.client.loop_stop()


class Subscriber:
    """Takes everything below a topic."""

    def __init__(self, address, name: str, root: str, version: int):
        self.messages: queue.Queue = queue.Queue()
        granted: queue.Queue = queue.Queue()
        self.lost_connection = threading.Event()
        self.client = connected(address, name, version)
        self.client.on_message = lambda _client, _data, message: self.messages.put((message.topic, message.payload))
        self.client.on_subscribe = lambda *_: granted.put(None)
        self.client.on_disconnect = lambda *_: self.lost_connection.set()
        self.client.subscribe(f"{root}/#", 1)
        granted.get(timeout=TIMEOUT)

    def check(self, root: str, sent: dict[str, int]) -> int:
        """Every message once, in order, and rewritten by rules no older than were in force. Gives how many were."""
        seen = {topic: 0 for topic in sent}
        newest = {topic: 0 for topic in sent}
        rewritten = 0
        for _ in range(sum(sent.values())):
            topic, payload = self.messages.get(timeout=TIMEOUT)
            publisher, number, floor = payload.decode().split(" ")
            assert int(number) == seen[publisher], f"{publisher}: message {number} in the place of {seen[publisher]}"
            seen[publisher] += 1
            # The topic is root/g<generation>/<publisher>, or root/<publisher> while there are no rules.
            level = topic.removeprefix(f"{root}/").split("/")[0]
            generation = int(level.removeprefix("g")) if level.startswith("g") else 0
            rewritten += generation > 0
            assert generation >= newest[publisher], f"{publisher}: rules {generation} after {newest[publisher]}"
            newest[publisher] = generation
            assert generation >= int(floor), f"{topic} after rules {floor} were in force"
        assert seen == sent
        assert not self.lost_connection.is_set(), "a subscriber was disconnected"
        return rewritten

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rule(root: str, number: int) -> str:
    source, destination = f"{root}/#", f"{root}/g{number}/$1"
    return f'[{{action = publish, source_topic = "{source}", re = "^{root}/(p[0-9]+)$", dest_topic = "{destination}"}}]'


def change_everything(control: Control, root: str, number: int, generation: Generation, port: int) -> None:
    """One round of changes of every kind, and some that are refused."""
    control.set("rewrite", rule(root, number))
    generation.number = number
    control.set("mqtt.max_inflight", str(16 + number))
    control.set("mqtt.max_mqueue_len", str(100_000 + number))
    control.set("mqtt.max_topic_levels", str(64 + number))
    control.set("zones.quick.mqtt.max_subscriptions", str(10 + number))
    control.set("zones.quick.overload_protection.enable", "true" if number % 2 else "false")
    control.set("auto_subscribe.topics", f'[{{topic = "auto/{number}", qos = 1}}]')
    control.set("alarm.size_limit", str(10 + number))
    control.ask("topic-metrics", "register", f"{root}/g{number}/p0")
    # A listener is made in the first round, and again after files were read, where it is not; it is changed, stopped and
    # started.
    control.set("listeners.tcp.more.bind", f"127.0.0.1:{port}")
    control.set("listeners.tcp.more.zone", "quick" if number % 2 else "default")
    control.set("listeners.tcp.more.max_connections", str(50 + number))
    control.set("listeners.tcp.more.tcp_options.send_timeout", f"{15 + number}s")
    if number % 3 == 0:
        control.ask("listeners", "stop", "tcp:more")
        control.ask("listeners", "start", "tcp:more")
    elif number % 3 == 1:
        control.ask("listeners", "restart", "tcp:more")
    # A client that comes in between is served under the latest settings.
    guest = connected(("127.0.0.1", port), f"{root}guest{number}", paho.MQTTv311)
    guest.disconnect()
    guest.loop_stop()
    before = control.ask("conf", "show")
    assert "is not a whole number" in control.refused("mqtt.max_inflight", "many")
    assert "has no group 7" in control.refused("rewrite", rule(root, number).replace("$1", "$7"))
    assert "may only grow" in control.refused("mqtt.max_packet_size", "1KB")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "the port is taken" in control.refused("listeners.tcp.other.bind", address)
    assert control.ask("conf", "show") == before, "what is refused changes nothing"


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["v3.1.1", "v5"])
def test_nothing_is_lost_while_everything_changes(start_broker, unique, version):
    broker = start_broker("mqtt.max_awaiting_rel=0")
    control, generation = Control(broker), Generation()
    root = unique
    # The subscribers' queues are to hold what comes while they are slow.
    control.set("mqtt.max_mqueue_len", "100000")
    subscribers = [Subscriber(broker.address, f"{root}s{each}", root, version) for each in range(SUBSCRIBERS)]
    port = free_port()
    publishers = [
        Publisher(broker.address, f"{root}c{each}", f"{root}/p{each}", version, generation)
        for each in range(PUBLISHERS)
    ]
    for each in publishers:
        each.start()
    for number in itertools.count(1):
        change_everything(control, root, number, generation, port)
        if number == ROUNDS // 2:
            control.ask("conf", "reload")
        if number >= ROUNDS and all(each.sent > 20 * ROUNDS for each in publishers):
            break
    for each in publishers:
        each.finish()
    sent = {each.topic: each.sent for each in publishers}
    for each in subscribers:
        assert each.check(root, sent) > 0
        each.end()
    stats = control.ask("metrics")
    assert "delivery.dropped.queue_full" not in stats, stats
    assert broker.alive(), broker.describe()
