"""Capabilities that can be switched off (P3, P25): what CONNACK says and how violations end."""

import pytest

from packets import V5, V311, Connect, Filter, Publish, Subscribe, Will

RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED, NO_SHARED, NO_WILDCARDS = 0x9A, 0x9B, 0x9E, 0xA2


@pytest.fixture
def no_retain(broker_with):
    return broker_with("mqtt.retain_available=false")


def test_retain_is_announced(connect, no_retain):
    assert connect(to=no_retain).connack.properties["retain_available"] == 0


def test_retained_publish(connect, unique, no_retain, current):
    """[MQTT-3.2.2-14] DISCONNECT 0x9A."""
    client = connect(version=current, to=no_retain)
    client.publish(unique, b"m", qos=1)
    client.send(Publish(unique, b"m", 1, retain=True, packet_id=9))
    client.expect_disconnect(RETAIN_NOT_SUPPORTED)


def test_retained_will(raw, unique, no_retain):
    """[MQTT-3.2.2-13]"""
    client = raw(to=no_retain)
    assert client.connect(Connect(unique, will=Will(unique, b"m", 0, True))).reason == RETAIN_NOT_SUPPORTED
    client.expect_closed()


@pytest.fixture
def at_most_qos1(broker_with):
    return broker_with("mqtt.max_qos_allowed=1")


def test_maximum_qos_is_announced(connect, at_most_qos1):
    """P3 [MQTT-3.2.2-9]"""
    assert connect(to=at_most_qos1).connack.properties["maximum_qos"] == 1


def test_maximum_qos_0_is_announced(connect, broker_with):
    """P3 [MQTT-3.2.2-9]"""
    client = connect(to=broker_with("mqtt.max_qos_allowed=0"))
    assert client.connack.properties["maximum_qos"] == 0


def test_publish_over_the_maximum_qos(connect, unique, at_most_qos1, current):
    """P3 [MQTT-3.2.2-11] DISCONNECT 0x9B."""
    client = connect(version=current, to=at_most_qos1)
    client.publish(unique, b"m", qos=1)
    client.send(Publish(unique, b"m", 2, packet_id=9))
    client.expect_disconnect(QOS_NOT_SUPPORTED)


def test_will_over_the_maximum_qos(raw, unique, at_most_qos1):
    """[MQTT-3.2.2-12]"""
    client = raw(to=at_most_qos1)
    assert client.connect(Connect(unique, will=Will(unique, b"m", 2))).reason == QOS_NOT_SUPPORTED
    client.expect_closed()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_subscribing_over_the_maximum_qos(connect, unique, at_most_qos1, qos):
    """[MQTT-3.2.2-10] accepted, whatever is granted."""
    client, publisher = connect(to=at_most_qos1), connect(to=at_most_qos1)
    client.send(Subscribe(1, [Filter(unique, qos)]))
    suback = client.receive()
    assert suback.reasons[0] in range(min(qos, 1), qos + 1)
    publisher.publish(unique, b"m", qos=1)
    assert client.receive_publish().qos == min(qos, 1)


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
@pytest.mark.parametrize("topic_filter", ["{}/+", "{}/#", "#", "+"])
def test_no_wildcards(connect, unique, broker_with, version, topic_filter):
    """P25 [MQTT3-3.8.3-2] SUBACK 0xA2; plain filters of the same packet are granted."""
    to = broker_with("mqtt.wildcard_subscription=false")
    client = connect(version=version, to=to)
    if version == V5:
        assert client.connack.properties["wildcard_subscription_available"] == 0
    code = NO_WILDCARDS if version == V5 else 0x80
    client.subscribe(topic_filter.format(unique), unique + "/plain", qos=1, granted=[code, 1])


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_no_shared_subscriptions(connect, unique, broker_with, version):
    """P25: SUBACK 0x9E."""
    client = connect(version=version, to=broker_with("mqtt.shared_subscription=false"))
    if version == V5:
        assert client.connack.properties["shared_subscription_available"] == 0
    code = NO_SHARED if version == V5 else 0x80
    client.subscribe(f"$share/g/{unique}", unique, qos=1, granted=[code, 1])
