"""Messages too large for one receive buffer: they arrive in pieces and leave from where they lie, byte by byte the same."""

import random

import pytest

from packets import Publish
from wire_client import let_time_pass

SIZES = (4_000, 32_767, 32_768, 65_536, 300_000, 1_000_000)
"""Around the size from which on a payload is not copied for each subscriber, up to the default limit of a packet."""


def content(size: int) -> bytes:
    """Bytes of which no part looks like another."""
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_large_and_small_in_turn(connect, unique, current, qos):
    """[MQTT-4.6.0-5] [MQTT3-4.6.0-5] several subscribers, each gets all of it in order."""
    subscribers = [connect(version=current) for _ in range(3)]
    for each in subscribers:
        each.subscribe(unique, qos=qos)
    publisher = connect(version=current)
    sent = []
    for size in SIZES:
        for payload in (b"before %d" % size, content(size), b"after %d" % size):
            publisher.publish(unique, payload, qos=qos)
            sent.append(payload)
        for each in subscribers:
            assert each.payloads(3) == sent[-3:]


def test_by_their_subscriptions(connect, unique):
    """[MQTT-3.3.4-3] headers differ by subscriber, the payload does not."""
    plain, numbered, old = connect(), connect(), connect(version=4)
    plain.subscribe(unique)
    numbered.subscribe(unique, qos=1, properties={"subscription_identifier": [77]})
    old.subscribe(unique, qos=1)
    payload = content(200_000)
    connect().publish(unique, payload, qos=1, properties={"user_property": [("a", "b")]})
    got = [each.receive_publish() for each in (plain, numbered, old)]
    assert [each.payload == payload for each in got] == [True] * 3
    assert [each.qos for each in got] == [0, 1, 1]
    assert got[1].properties["subscription_identifier"] == [77]
    assert got[0].properties["user_property"] == got[1].properties["user_property"] == [("a", "b")]


def test_retained(connect, unique):
    """[MQTT-3.3.1-9] a large retained message is sent to whoever subscribes."""
    payload = content(500_000)
    connect().publish(unique, payload, qos=1, retain=True)
    for _ in range(3):
        client = connect()
        client.subscribe(unique, qos=1)
        packet = client.receive_publish()
        assert packet.retain
        assert packet.payload == payload


def test_queued(connect, unique):
    """[MQTT-4.4.0-1] large messages wait for a session, and are sent again if they were not acknowledged."""
    payloads = [content(size) for size in (40_000, 80_000, 160_000)]
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1)
    client.drop()
    publisher = connect()
    for payload in payloads:
        publisher.publish(unique, payload, qos=1)
    client = connect(unique, session=60, resume=True)
    first = client.receive_publish(acknowledge=False)
    assert first.payload == payloads[0]
    client.drop()
    client = connect(unique, session=60, resume=True)
    assert client.payloads(3) == payloads


def test_many_at_once_to_slow_readers(raw, connect, unique):
    """What a subscriber does not take yet stays as it was, whatever is published meanwhile."""
    subscribers = [connect() for _ in range(4)]
    for each in subscribers:
        each.subscribe(unique, qos=1)
    publisher = connect()
    sent = [content(100_000 + at) for at in range(12)]
    publisher.send(*(Publish(unique, payload, 1, packet_id=at + 1) for at, payload in enumerate(sent)))
    # Long enough for the sockets to be full.
    let_time_pass(0.2)
    for each in subscribers:
        assert each.payloads(len(sent)) == sent


def test_then_only_small_ones(connect, unique):
    """A connection whose receives took larger buffers goes back to usual ones."""
    subscriber, publisher = connect(), connect()
    subscriber.subscribe(unique, qos=0)
    for _ in range(5):
        publisher.publish(unique, content(900_000))
        assert subscriber.receive_publish().payload == content(900_000)
    for number in range(100):
        publisher.publish(unique, b"%d" % number)
        assert subscriber.payloads(1) == [b"%d" % number]
    publisher.publish(unique, content(700_000))
    assert subscriber.receive_publish().payload == content(700_000)
