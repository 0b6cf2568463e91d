"""The retainer's settings (M4, M6), seen by paho: limits, expiry, rates, and being turned off."""

import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from operated import eventually
from wire_client import let_time_pass


MARKER = "zz/marker"


def retained_by(dial, broker, topic, **more):
    """What a new subscriber is given, by topic. Retained messages come one subscription after the other, so what a
    second subscription is given comes after all of the first."""
    reader, writer = dial(broker, **more), dial(broker)
    writer.publish(MARKER, b"end", 1, True)
    reader.subscribe(topic, 1)
    reader.subscribe(MARKER, 1)
    found = {}
    while (message := reader.receive()).topic != MARKER:
        assert message.retain
        found[message.topic] = message
    return found


def expiring(seconds):
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = seconds
    return properties


def test_no_more_topics_than_allowed(operate, dial, both):
    """M4: a new topic is routed and not kept, one that is kept can be replaced, and a cleared one makes room."""
    broker = operate("retainer.backend.max_retained_messages = 3\n", shards=1)
    watcher, writer = dial(broker, version=both), dial(broker, version=both)
    writer.publish(MARKER, b"", 1, True)
    writer.publish(MARKER, b"one of the three", 1, True)
    watcher.subscribe("r/+", 1)
    for topic, payload in (("r/1", b"a"), ("r/2", b"b"), ("r/3", b"c"), ("r/1", b"d")):
        writer.publish(topic, payload, 1, True)
    assert watcher.payloads(4) == [b"a", b"b", b"c", b"d"]
    assert broker.ask("retainer", "info") == {"retained": 3}
    found = retained_by(dial, broker, "r/+", version=both)
    assert {topic: each.payload for topic, each in found.items()} == {"r/1": b"d", "r/2": b"b"}
    writer.publish("r/2", b"", 1, True)
    writer.publish("r/3", b"e", 1, True)
    found = retained_by(dial, broker, "r/+", version=both)
    assert {topic: each.payload for topic, each in found.items()} == {"r/1": b"d", "r/3": b"e"}
    broker.await_counter("retained.dropped", 1)


def test_how_much_is_stored_in_a_time(operate, dial, both):
    """M6: what is above retainer.max_publish_rate is delivered and not kept; clearing counts as storing does."""
    broker = operate('retainer.max_publish_rate = "2/1h"\n', shards=1)
    client = dial(broker, version=both)
    client.subscribe("r/#", 1)
    for topic, payload in (("r/1", b"a"), ("r/2", b"b"), ("r/3", b"c"), ("r/1", b"")):
        client.publish(topic, payload, 1, True)
    assert client.payloads(4) == [b"a", b"b", b"c", b""]
    broker.await_counter("retained.dropped", 2)
    assert broker.ask("retainer", "info") == {"retained": 2}
    broker.set("retainer.max_publish_rate", "infinity")
    client.publish("r/1", b"", 1, True)
    client.publish("r/2", b"d", 1, True)
    found = retained_by(dial, broker, "r/+", version=both)
    assert {topic: each.payload for topic, each in found.items()} == {"r/2": b"d"}


def test_what_brings_no_expiry_gets_the_configured_one(operate, dial):
    """M4: of MQTT 5 and 3.1.1 alike; a message's own expiry goes before it."""
    broker = operate("retainer.msg_expiry_interval = 2s\n")
    five, old = dial(broker), dial(broker, version=paho.MQTTv311)
    five.publish("e/five", b"m", 1, True)
    old.publish("e/old", b"m", 1, True)
    five.publish("e/own", b"m", 1, True, expiring(3600))
    found = retained_by(dial, broker, "e/#")
    left = {topic: each.properties.MessageExpiryInterval for topic, each in found.items()}
    assert left["e/five"] <= 2 and left["e/old"] <= 2 and 3590 <= left["e/own"] <= 3600
    let_time_pass(2.1)
    assert retained_by(dial, broker, "e/#").keys() == {"e/own"}
    # What nobody asks for is removed as well.
    eventually(lambda: broker.ask("retainer", "info"), lambda told: told == {"retained": 1})


@pytest.mark.parametrize("kept_back", [False, True])
def test_the_message_that_clears(operate, dial, both, kept_back):
    """M4: subscribers see the empty message unless it is kept back; it clears either way."""
    broker = operate(f"retainer.stop_publish_clear_msg = {str(kept_back).lower()}\n")
    watcher, writer = dial(broker, version=both), dial(broker, version=both)
    watcher.subscribe("c", 1)
    for payload in (b"kept", b"", b"end"):
        writer.publish("c", payload, 1, payload != b"end")
    assert watcher.receive().payload == b"kept"
    if not kept_back:
        assert watcher.receive().payload == b""
    assert watcher.receive().payload == b"end"
    assert retained_by(dial, broker, "c", version=both) == {}


def test_turned_off_it_forgets_nothing(operate, dial):
    """M4 C3: while it is off nothing is stored, cleared or given; what was kept is there again afterwards."""
    broker = operate()
    writer = dial(broker)
    writer.publish("o/before", b"m", 1, True)
    broker.set("retainer.enable", "false")
    writer.publish("o/during", b"m", 1, True)
    writer.publish("o/before", b"", 1, True)
    reader = dial(broker)
    reader.subscribe("o/#", 1)
    reader.nothing_before(writer, "o/marker")
    broker.set("retainer.enable", "true")
    assert retained_by(dial, broker, "o/#").keys() == {"o/before"}


def test_a_rate_spreads_what_is_given(operate, dial):
    """M6: 40 messages at 20 a second take more than a second; the client is served meanwhile, and nothing is missing."""
    broker = operate('retainer.delivery_rate = "20/s"\n')
    writer = dial(broker)
    for number in range(40):
        writer.publish(f"rate/{number}", b"%d" % number, 1, True)
    reader = dial(broker)
    reader.subscribe("live", 1)
    start = time.monotonic()
    reader.subscribe("rate/#", 1)
    writer.publish("live", b"now", 1)
    got = [reader.receive() for _ in range(41)]
    assert time.monotonic() - start > 1.0
    live = [index for index, each in enumerate(got) if each.topic == "live"]
    assert live and live[0] < 40, "a live message does not wait for the last retained one"
    assert sorted(int(each.payload) for each in got if each.retain) == list(range(40))


def test_the_rate_can_be_written_as_emqx_does(operate, dial):
    """M6: over a longer time, and without one."""
    for text in ("600/1m", "10"):
        broker = operate(f'retainer.delivery_rate = "{text}"\n')
        writer, reader = dial(broker), dial(broker)
        for number in range(12):
            writer.publish(f"t/{number}", b"m", 1, True)
        start = time.monotonic()
        reader.subscribe("t/#", 1)
        reader.payloads(12)
        assert time.monotonic() - start > 0.9, text
