"""UNSUBSCRIBE and UNSUBACK."""

import pytest

from packets import PUBREC, PUBREL, V5, Ack, Unsuback, Unsubscribe

NO_SUBSCRIPTION_EXISTED = 0x11


@pytest.fixture
def publisher(connect):
    return connect()


def test_deliveries_end(connect, unique, publisher, version):
    """[MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT3-3.10.4-1] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5]"""
    client = connect(version=version)
    client.subscribe(unique + "/a", unique + "/b", qos=1)
    unsuback = client.unsubscribe(unique + "/a")
    assert unsuback.reasons == ([0] if version == V5 else [])
    publisher.publish(unique + "/a", b"a", qos=1)
    publisher.publish(unique + "/b", b"b", qos=1)
    assert client.payloads(1) == [b"b"]
    client.quiet(publisher)


def test_packet_identifier(connect, unique, current):
    """[MQTT-2.2.1-6] [MQTT-3.10.4-5] [MQTT3-2.3.1-7]"""
    client = connect(version=current)
    client.send(Unsubscribe(65535, [unique]))
    assert client.expect(Unsuback).packet_id == 65535


def test_unknown_filter_is_answered(connect, unique, current):
    """[MQTT-3.10.4-5] [MQTT-3.11.3-2] [MQTT3-3.10.4-2] reason 0x11."""
    reasons = connect(version=current).unsubscribe(unique).reasons
    assert reasons == ([NO_SUBSCRIPTION_EXISTED] if current == V5 else [])


def test_several_filters(connect, unique, publisher):
    """[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT3-3.10.4-3] one code for each, in order."""
    client = connect()
    client.subscribe(unique + "/a", unique + "/b", unique + "/c", qos=1)
    unsuback = client.unsubscribe(unique + "/a", unique + "/x", unique + "/b", unique + "/a")
    assert unsuback.reasons == [0, NO_SUBSCRIPTION_EXISTED, 0, NO_SUBSCRIPTION_EXISTED]
    for suffix in ("/a", "/b", "/c"):
        publisher.publish(unique + suffix, suffix.encode(), qos=1)
    assert client.payloads(1) == [b"/c"]
    client.quiet(publisher)


def test_filters_are_compared_by_character(connect, unique, publisher, current):
    """[MQTT-3.10.4-1] [MQTT3-3.10.4-4] a filter that would match another one does not remove it."""
    client = connect(version=current)
    client.subscribe(unique + "/a", unique + "/+", qos=1)
    client.unsubscribe(unique + "/#")
    client.unsubscribe(unique + "/A")
    client.unsubscribe(unique + "/+")
    publisher.publish(unique + "/b", b"no", qos=1)
    publisher.publish(unique + "/a", b"yes", qos=1)
    assert client.payloads(1) == [b"yes"]
    client.quiet(publisher)


def test_only_the_own_subscription(connect, unique, publisher):
    """[MQTT-3.10.4-1] others keep theirs."""
    first, second = connect(), connect()
    first.subscribe(unique)
    second.subscribe(unique)
    first.unsubscribe(unique)
    publisher.publish(unique, b"m")
    assert second.payloads(1) == [b"m"]
    first.quiet(publisher)


def test_started_deliveries_are_completed(connect, unique, publisher, current):
    """[MQTT-3.10.4-3] [MQTT3-3.10.4-5] QoS 2 goes on to PUBREL and a QoS 1 message stays in flight."""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=2)
    publisher.publish(unique, b"1", qos=1)
    publisher.publish(unique, b"2", qos=2)
    first, second = (client.receive_publish(acknowledge=False) for _ in range(2))
    client.unsubscribe(unique)
    client.send(Ack(PUBREC, second.packet_id))
    client.expect_ack(PUBREL, second.packet_id)
    client.complete(second.packet_id)
    client.drop()
    client = connect(unique, current, session=60, resume=True)
    again = client.receive_publish()
    assert (again.payload, again.dup, again.packet_id) == (b"1", True, first.packet_id)
    client.quiet(publisher)


def test_subscribe_again(connect, unique, publisher, current):
    """A removed subscription can be made anew, any number of times."""
    client = connect(version=current)
    for number in range(10):
        client.subscribe(unique, qos=1)
        publisher.publish(unique, b"%d" % number, qos=1)
        assert client.payloads(1) == [b"%d" % number]
        client.unsubscribe(unique)
        publisher.publish(unique, b"no", qos=1)
    client.quiet(publisher)


def test_user_properties_are_allowed(connect, unique):
    """P7"""
    connect().unsubscribe(unique, properties={"user_property": [("a", "b")]})
