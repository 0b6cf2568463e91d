"""Configured bounds of a session: its queue, its subscriptions (Q3, Q5, Q9)."""

import pytest

from packets import V5, V311, Filter, Suback, Subscribe

QUOTA_EXCEEDED = 0x97


def offline(connect, unique, to, *filters):
    client = connect(unique, session=60, to=to)
    client.subscribe(*filters, qos=1)
    client.goodbye()
    return connect(to=to)


@pytest.mark.ringmq_only("mosquitto drops the newest")
def test_full_queue_drops_the_oldest(connect, unique, broker_with, settle):
    """Q3: `mqtt.max_mqueue_len`."""
    to = broker_with("mqtt.max_mqueue_len=5")
    publisher = offline(connect, unique, to, unique)
    for number in range(12):
        publisher.publish(unique, b"%d" % number, qos=1)
    settle(publisher, to)
    client = connect(unique, session=60, resume=True, to=to)
    assert client.payloads(5) == [b"%d" % number for number in range(7, 12)]
    client.quiet(publisher)


def test_full_queue_of_a_blocked_window(connect, unique, broker_with, settle):
    """Q3: the client is connected and does not acknowledge; what is in flight stays."""
    to = broker_with("mqtt.max_mqueue_len=5")
    client, publisher = connect(to=to, properties={"receive_maximum": 2}), connect(to=to)
    client.subscribe(unique, qos=1)
    for number in range(12):
        publisher.publish(unique, b"%d" % number, qos=1)
    settle(publisher, to)
    held = [client.receive_publish(acknowledge=False) for _ in range(2)]
    assert [each.payload for each in held] == [b"0", b"1"]
    for each in held:
        client.acknowledge(each)
    assert len(client.payloads(5)) == 5
    client.quiet(publisher)


@pytest.mark.ringmq_only("EMQX's default")
def test_default_queue(connect, unique, broker, settle):
    """Q3: 1000 messages."""
    publisher = offline(connect, unique, broker, unique)
    for number in range(1010):
        publisher.publish(unique, b"%d" % number, qos=1)
    settle(publisher, broker)
    client = connect(unique, session=60, resume=True)
    assert client.payloads(1000) == [b"%d" % number for number in range(10, 1010)]
    client.quiet(publisher)


@pytest.mark.ringmq_only("mqtt.mqueue_priorities")
def test_priorities(connect, unique, broker_with, settle):
    """Q5: topics of a higher priority leave the queue first; each priority in order."""
    to = broker_with('mqtt.mqueue_priorities={"prio/high"=10,"prio/middle"=5}')
    publisher = offline(connect, unique, to, "prio/#")
    for number in range(3):
        for topic in ("prio/low", "prio/middle", "prio/high"):
            publisher.publish(topic, b"%s%d" % (topic[5:6].encode(), number), qos=1)
    settle(publisher, to)
    client = connect(unique, session=60, resume=True, to=to)
    assert client.payloads(9) == [b"h0", b"h1", b"h2", b"m0", b"m1", b"m2", b"l0", b"l1", b"l2"]


@pytest.mark.ringmq_only("mqtt.max_subscriptions")
@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_too_many_subscriptions(connect, unique, broker_with, version):
    """Q9: SUBACK 0x97; replacing and removing still work."""
    client = connect(version=version, to=broker_with("mqtt.max_subscriptions=2"))
    code = QUOTA_EXCEEDED if version == V5 else 0x80
    client.subscribe(unique + "/a", unique + "/b", unique + "/c", qos=1, granted=[1, 1, code])
    client.subscribe(unique + "/a", qos=2)
    client.subscribe(unique + "/c", qos=1, granted=[code])
    client.unsubscribe(unique + "/b")
    client.subscribe(unique + "/c", qos=1)


def test_many_subscriptions_without_a_limit(connect, unique):
    """Q9: infinity by default."""
    client = connect()
    for start in range(0, 3000, 500):
        client.send(Subscribe(client.packet_id(), [Filter(f"{unique}/{start + number}") for number in range(500)]))
    for _ in range(6):
        assert client.expect(Suback).reasons == [0] * 500
    publisher = connect()
    publisher.publish(f"{unique}/2999", b"m")
    assert client.payloads(1) == [b"m"]
