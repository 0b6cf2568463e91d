"""Changes while messages flow (C3, C4, L9): everything arrives once and in order, and nobody is disconnected."""

import threading
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest

from operated import PATIENCE, eventually, restarted

SETTINGS = """
listeners.tcp.default { bind = "127.0.0.1:0", zone = flow }
zones.flow.mqtt.max_inflight = 20
mqtt { max_mqueue_len = 100000, max_inflight = 20 }
log.console.level = error
"""


class Flow:
    """Publishers and subscribers of one topic each, at a QoS, that send and receive until told to stop."""

    def __init__(self, dial, broker, version, qos):
        self.stop = threading.Event()
        self.moved = threading.Condition()
        self.pairs = []
        for number in range(3):
            subscriber, publisher = dial(broker, version=version), dial(broker, version=version)
            subscriber.subscribe(f"flow/{number}", qos)
            self.pairs.append((subscriber, publisher))
        self.sent = [0] * len(self.pairs)
        self.qos = qos
        self.threads = [threading.Thread(target=self.send, args=(index,)) for index in range(len(self.pairs))]
        for thread in self.threads:
            thread.start()

    def send(self, index):
        publisher = self.pairs[index][1]
        while not self.stop.is_set():
            # The last of ten is awaited, so that the publisher stays a little ahead and no more.
            for _ in range(10):
                last = publisher.client.publish(f"flow/{index}", b"%d" % self.sent[index], self.qos)
                self.sent[index] += 1
            last.wait_for_publish(PATIENCE)
            with self.moved:
                self.moved.notify()

    def goes_on(self):
        """Waits until every publisher has had more acknowledged."""
        before = list(self.sent)
        with self.moved:
            assert self.moved.wait_for(lambda: all(map(int.__gt__, self.sent, before)), PATIENCE), self.sent

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for index, (subscriber, publisher) in enumerate(self.pairs):
            got = [int(each) for each in subscriber.payloads(self.sent[index])]
            assert got == list(range(self.sent[index]))
            assert subscriber.messages.empty()
            assert not subscriber.closed.is_set() and not publisher.closed.is_set()


@contextmanager
def flowing(*arguments):
    flow = Flow(*arguments)
    try:
        yield flow
    finally:
        flow.stop.set()
    flow.end()


@pytest.mark.parametrize("qos", [1, 2])
def test_nothing_is_lost_while_settings_change(operate, dial, both, qos):
    """C3: settings, zones, limits, rates and levels, one after the other, with the flow seen to go on after each."""
    broker = operate(SETTINGS, listeners=1)
    changes = [
        ("mqtt.max_inflight", "30"),
        ("zones.flow.mqtt.max_inflight", "10"),
        ("zones.flow.mqtt.max_mqueue_len", "50000"),
        ("mqtt.limiter.messages_rate", "100000/s"),
        ("zones.flow.mqtt.limiter.bytes_rate", "1GB/s"),
        ("zones.flow.ringmq.limit_action", "drop"),
        ("mqtt.limiter.messages_rate", "infinity"),
        ("retainer.max_payload_size", "1KB"),
        ("delayed.enable", "false"),
        ("slow_subs.enable", "true"),
        ("flapping_detect.enable", "true"),
        ("overload_protection.enable", "true"),
        ("overload_protection.enable", "false"),
        ("log.console.level", "warning"),
        ("mqtt.shared_subscription_strategy", "sticky"),
    ]
    with flowing(dial, broker, both, qos) as flow:
        for key, value in changes:
            broker.set(key, value)
            assert broker.ask("conf", "show", key)[0]["value"].strip('"') == value
            flow.goes_on()
        for name in ("first", "second"):
            (broker.workdir / "r.conf").write_text(SETTINGS + f'mqtt.response_information = "{name}"\n')
            broker.ctl("conf", "reload")
            flow.goes_on()


def test_nothing_is_lost_while_listeners_come_and_go(operate, dial, both):
    """L9: the flow's own listener is changed, moved, stopped, started and deleted under it."""
    broker = operate(SETTINGS, listeners=1)
    with flowing(dial, broker, both, 1) as flow:
        broker.set("listeners.tcp.more.bind", "127.0.0.1:0")
        for key, value in (("max_connections", "500"), ("max_conn_rate", "1000/s"), ("access_rules", '["allow all"]')):
            broker.set(f"listeners.tcp.default.{key}", value)
        broker.ctl("listeners", "stop", "tcp:default")
        broker.ctl("listeners", "start", "tcp:default")
        broker.ctl("listeners", "restart", "tcp:more")
        broker.set("listeners.tcp.default.zone", "default")
        broker.ctl("listeners", "delete", "tcp:default")
        flow.goes_on()
        assert [row["id"] for row in broker.ask("listeners", "list")["listeners"]] == ["tcp:more"]


def test_a_deleted_listener_stays_away(operate, dial):
    """L9: its connections stay, it is gone after a restart too, and can be made again; the last one cannot be deleted."""
    settings = 'listeners.tcp { default.bind = "127.0.0.1:0", more.bind = "127.0.0.1:0" }\n'
    broker = operate(settings, listeners=2)
    old = dial(broker, port=broker.ports[1])
    assert broker.ctl("listeners", "delete", "tcp:more") == "deleted: tcp:more\n"
    old.subscribe("alive")
    assert "there is no listener `tcp:more`" in broker.refused("listeners", "start", "tcp:more")
    assert "no listener is enabled" in broker.refused("listeners", "delete", "tcp:default")
    broker.listeners = 1
    again = restarted(broker)
    try:
        assert [row["id"] for row in again.ask("listeners", "list")["listeners"]] == ["tcp:default"]
        again.set("listeners.tcp.more.bind", "127.0.0.1:0")
        assert [row["id"] for row in again.ask("listeners", "list")["listeners"]] == ["tcp:default", "tcp:more"]
    finally:
        assert again.terminate() == 0, again.describe()


def test_a_wrong_change_is_no_change_at_all(operate, dial):
    """Bad input: one mistake in a file, and nothing of it holds anywhere; file, line and what is allowed are told."""
    broker = operate("mqtt.max_topic_levels = 3\n")
    clients = [dial(broker) for _ in range(6)]
    (broker.workdir / "r.conf").write_text("mqtt {\n  max_topic_levels = 1\n  max_qos_allowed = 7\n}\n")
    told = broker.refused("conf", "reload")
    assert "mqtt.max_qos_allowed: `7` is more than 2\n  --> r.conf:3:3\n   = allowed: an integer from 0 to 2" in told
    for client in clients:
        client.subscribe("a/b/c")
    (broker.workdir / "r.conf").write_text("mqtt.max_topic_levels = 1\n")
    broker.reload()
    # The signal is taken up by a thread of its own.
    eventually(lambda: broker.ask("conf", "show", "mqtt.max_topic_levels")[0]["value"], lambda value: value == "1")
    for client in clients:
        client.subscribe("a/b", granted=0x8F)


def test_an_older_session_is_not_cut_by_a_narrower_limit(operate, dial):
    """C3: what CONNACK has promised is kept."""
    broker = operate()
    client = dial(broker)
    for key, value in (("mqtt.max_packet_size", "1KB"), ("mqtt.max_qos_allowed", "0"), ("mqtt.retain_available", "false")):
        assert "may only grow while the broker runs" in broker.refused("conf", "set", key, value)
    client.subscribe("t", 2)
    client.publish("t", b"x" * 100_000, 2, True)
    assert len(client.receive().payload) == 100_000
    assert paho.MQTTv5 == client.version
