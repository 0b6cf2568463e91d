"""Settings of a zone that a client sees and another listener's clients do not: back-pressure by queue (Q3, L10) and
`mqtt.strict_mode` (P22, L10), by a client that takes packets one by one."""

import select
from types import SimpleNamespace

import pytest

from operated import eventually
from packets import PUBACK, SUBSCRIBE, V5, V311, Filter, Publish, Suback, frame

BACK_PRESSURE = """
listeners.tcp { default.bind = "127.0.0.1:0", quick { bind = "127.0.0.1:0", zone = quick } }
mqtt { max_inflight = 1, max_mqueue_len = 3 }
ringmq { queue_full_policy = back_pressure, back_pressure { patience = 1h, max_overrun = 1000 } }
zones.quick.ringmq.back_pressure { patience = 2s, fallback = drop_newest, max_overrun = 0 }
"""
STRICTNESS = """
listeners.tcp { default.bind = "127.0.0.1:0", lenient { bind = "127.0.0.1:0", zone = lenient } }
zones.lenient.mqtt.strict_mode = false
"""


@pytest.fixture
def at(connect):
    """Connects to the port of a listener, by its place in the order of their names."""

    def open_one(broker, listener, *arguments, **named):
        return connect(*arguments, to=SimpleNamespace(address=("127.0.0.1", broker.ports[listener])), **named)

    return open_one


class Fed:
    """A slow client that came by a listener, and a publisher that its full queue holds back."""

    def __init__(self, at, broker, listener, name):
        self.topic = name
        self.slow = at(broker, listener, f"{name}-slow")
        self.slow.subscribe(name, qos=1)
        self.publisher = at(broker, 0, f"{name}-publisher")
        for number in range(4):
            self.publisher.publish(name, b"%d" % number, 1)
        self.first = self.slow.receive_publish(acknowledge=False)
        eventually(lambda: broker.ask("clients", "show", f"{name}-publisher")["held_back"])
        # Who has not fed this queue is read.
        at(broker, 0, f"{name}-other").publish(name, b"beyond", 1)
        # These are not read until there is room again, or patience is over.
        self.more = (self.publisher.packet_id(), self.publisher.packet_id())
        self.publisher.send(
            *(Publish(name, b"%d" % (4 + at), 1, packet_id=packet_id) for at, packet_id in enumerate(self.more))
        )

    def wait_until_read(self):
        for packet_id in self.more:
            self.publisher.expect_ack(PUBACK, packet_id)

    def take(self, count):
        self.slow.acknowledge(self.first)
        return [self.first.payload, *self.slow.payloads(count - 1)]


def test_a_zone_has_a_patience_of_its_own(operate, at, settle):
    """Of the client whose queue is full, with what it falls back to and how much its queue takes beyond its length."""
    broker = operate(BACK_PRESSURE, listeners=2)
    patient, quick = Fed(at, broker, 0, "patient"), Fed(at, broker, 1, "quick")
    quick.wait_until_read()
    settle(quick.publisher, broker)
    assert broker.ask("clients", "show", "patient-publisher")["held_back"]
    assert not select.select([patient.publisher.socket], [], [], 0)[0], "not one is acknowledged"
    assert quick.take(4) == [b"0", b"1", b"2", b"3"]
    quick.slow.quiet(quick.publisher)
    assert patient.take(7) == [b"0", b"1", b"2", b"3", b"beyond", b"4", b"5"]
    patient.wait_until_read()
    patient.slow.quiet(patient.publisher)


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_a_zone_may_be_lenient(operate, at, version):
    """The same packet ends a connection of the one listener and is answered on the other, also after a change."""
    broker = operate(STRICTNESS, listeners=2)
    properties = b"\0" if version == V5 else b""
    # Flags of the fixed header that are reserved.
    wrong = frame(SUBSCRIBE, 0, b"\0\7" + properties + Filter("t").encode())

    def passes(listener):
        """Of several clients, so that some live on each shard."""
        clients = [at(broker, listener, version=version) for _ in range(6)]
        for client in clients:
            client.send_raw(wrong)
        for client in clients:
            if lenient[listener]:
                suback = client.expect(Suback)
                assert (suback.packet_id, suback.reasons) == (7, [0])
            else:
                client.expect_end()

    for lenient in ((False, True), (False, False), (True, False)):
        broker.set("mqtt.strict_mode", str(not lenient[0]).lower())
        broker.set("zones.lenient.mqtt.strict_mode", str(not lenient[1]).lower())
        passes(0)
        passes(1)
