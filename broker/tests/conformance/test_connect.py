"""CONNECT that is accepted: versions, names, credentials, the bridge bit, first and second packets."""

import pytest

from packets import BRIDGE_BIT, V5, V31, V311, Connack, Connect, Filter, Pingreq, Publish, Subscribe, Will


def test_every_version_is_served_by_one_listener(connect, version):
    """P1 [MQTT-3.1.4-5] [MQTT3-3.1.4-4] [MQTT-4.2-1] accepted with code 0."""
    connect(version=version).ping()


def test_versions_exchange_messages(connect, unique):
    """P1 a message published at one version reaches subscribers of all."""
    subscribers = [connect(version=each) for each in (V31, V311, V5)]
    for each in subscribers:
        each.subscribe(unique, qos=2)
    for number, each in enumerate((V31, V311, V5)):
        connect(version=each).publish(unique, b"from %d" % each, qos=number)
        for subscriber in subscribers:
            packet = subscriber.receive_publish()
            assert (packet.payload, packet.qos) == (b"from %d" % each, number)


@pytest.mark.parametrize("level", [V31, V311])
def test_bridge_bit_is_accepted(raw, level):
    """P24: protocol levels 0x83 and 0x84 are those of bridges."""
    client = raw(level)
    assert client.connect(Connect(f"bridge{level}", level, level=level | BRIDGE_BIT)).reason == 0
    client.ping()


@pytest.mark.parametrize("level", [V31, V311])
def test_bridge_keeps_the_retain_flag(raw, connect, unique, level):
    """P24: to a bridge a forwarded message keeps its RETAIN flag."""
    bridge = raw(level)
    assert bridge.connect(Connect(unique, level, level=level | BRIDGE_BIT)).reason == 0
    bridge.subscribe(unique, qos=1)
    publisher = connect()
    publisher.publish(unique, b"kept", qos=1, retain=True)
    assert bridge.receive_publish().retain
    publisher.publish(unique, b"plain", qos=1)
    assert not bridge.receive_publish().retain


def test_username_and_password(connect, current):
    """[MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21] present when flagged."""
    connect(version=current, username="user", password=b"\x00\xffsecret").ping()


def test_username_alone(connect, current):
    """[MQTT-3.1.2-18] [MQTT3-3.1.2-20] without the flag no password follows."""
    connect(version=current, username="user").ping()


def test_password_alone_is_allowed_in_v5(connect):
    """[MQTT-3.1.2-16] MQTT 5.0 allows a password without a user name, as 3.1.1 does not."""
    connect(password=b"token").ping()


def test_all_payload_fields_in_order(connect, unique):
    """[MQTT-3.1.2-9] [MQTT3-3.1.2-9] will properties, topic and payload, user name and password together."""
    will = Will(unique, b"gone", 1, properties={"content_type": "text/plain", "user_property": [("a", "b")]})
    watcher = connect()
    watcher.subscribe(unique, qos=1)
    connect(will=will, username="user", password=b"pw", properties={"user_property": [("c", "d")]}).drop()
    packet = watcher.receive_publish()
    assert (packet.payload, packet.properties["content_type"]) == (b"gone", "text/plain")


def test_second_connect_is_a_protocol_error(connect, current, unique):
    """[MQTT-3.1.0-2] [MQTT3-3.1.0-2] [MQTT3-4.8.0-1]"""
    client = connect(unique, current)
    client.send(Connect(unique, current))
    client.expect_disconnect(0x82)


@pytest.mark.parametrize(
    "packet", [Pingreq(), Publish("a"), Subscribe(1, [Filter("a")])], ids=lambda each: type(each).__name__
)
def test_first_packet_must_be_connect(raw, current, packet):
    """[MQTT-3.1.0-1] [MQTT3-3.1.0-1] B4: closed, and no packet but CONNACK may answer. [MQTT-3.14.0-1]"""
    client = raw(current)
    client.send(packet)
    client.expect_closed()


def test_packets_may_follow_connect_at_once(raw, unique, current):
    """3.1.4: clients may send further packets without waiting for CONNACK."""
    client = raw(current)
    connect = Connect(unique, current)
    client.begin(connect)
    client.send(connect, Subscribe(1, [Filter(unique, 1)]), Publish(unique, b"early", 1, packet_id=2), Pingreq())
    client.connack = client.expect(Connack)
    assert client.connack.reason == 0
    assert client.wait_for(lambda each: isinstance(each, Publish)).payload == b"early"


def test_nothing_after_a_refused_connect_is_processed(raw, connect, unique):
    """[MQTT-3.1.4-6] [MQTT3-3.1.4-5]"""
    watcher = connect()
    watcher.subscribe(unique)
    client = raw(V311)
    packet = Connect("", V311, clean=False)
    client.begin(packet)
    client.send(packet, Publish(unique, b"must not pass"))
    refused = client.expect(Connack)
    assert refused.reason == 2
    client.expect_closed()
    watcher.quiet(connect())


def test_one_connack_only(connect):
    """[MQTT-3.2.0-2] [MQTT-3.2.0-1] [MQTT3-3.2.0-1] the first packet is the CONNACK and no other follows."""
    client = connect()
    client.ping()
    client.quiet(connect())
