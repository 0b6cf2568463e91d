"""Windows: Receive Maximum of the client, the Server's own window, quotas on inbound messages."""

import pytest

from packets import PUBREC, PUBREL, V5, V311, Ack, Publish

RECEIVE_MAXIMUM_EXCEEDED = 0x93


@pytest.fixture
def publisher(connect):
    return connect()


@pytest.mark.parametrize("maximum", [1, 2, 5])
@pytest.mark.parametrize("qos", [1, 2])
def test_receive_maximum_of_the_client(connect, unique, publisher, maximum, qos):
    """P11 [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] the client checks each packet; all arrive, in order."""
    client = connect(properties={"receive_maximum": maximum})
    client.subscribe(unique, qos=qos)
    for number in range(20):
        publisher.publish(unique, b"%d" % number, qos=qos)
    held = [client.receive_publish(acknowledge=False) for _ in range(maximum)]
    client.quiet(publisher)
    client.acknowledge(held.pop(0))
    held += [client.receive_publish(acknowledge=False)]
    client.quiet(publisher)
    got = [b"0"] + [each.payload for each in held]
    for each in held:
        client.acknowledge(each)
    got += client.payloads(20 - len(got))
    assert got == [b"%d" % number for number in range(20)]
    client.quiet(publisher)


def test_pubrec_alone_frees_no_room(connect, unique, publisher):
    """[MQTT-3.3.4-9] the quota comes back with PUBCOMP."""
    client = connect(properties={"receive_maximum": 1})
    client.subscribe(unique, qos=2)
    publisher.publish(unique, b"1", qos=2)
    publisher.publish(unique, b"2", qos=2)
    packet = client.receive_publish(acknowledge=False)
    client.send(Ack(PUBREC, packet.packet_id))
    client.expect_ack(PUBREL, packet.packet_id)
    client.quiet(publisher)
    client.complete(packet.packet_id)
    assert client.payloads(1) == [b"2"]


def test_refusal_by_pubrec_frees_room(connect, unique, publisher):
    """[MQTT-3.3.4-9] PUBREC of 0x80 and more ends the exchange."""
    client = connect(properties={"receive_maximum": 1})
    client.subscribe(unique, qos=2)
    publisher.publish(unique, b"1", qos=2)
    publisher.publish(unique, b"2", qos=2)
    client.acknowledge(client.receive_publish(acknowledge=False), 0x97)
    assert client.payloads(1) == [b"2"]


def test_qos0_passes_a_full_window(connect, unique, publisher):
    """Q2: QoS 0 is not counted."""
    client = connect(properties={"receive_maximum": 1})
    client.subscribe(unique, qos=1)
    publisher.publish(unique, b"1", qos=1)
    publisher.publish(unique, b"2", qos=1)
    publisher.publish(unique, b"0", qos=0)
    held = client.receive_publish(acknowledge=False)
    assert client.receive_publish().payload == b"0"
    client.acknowledge(held)
    assert client.payloads(1) == [b"2"]


def test_other_packets_pass_a_full_window(connect, unique, publisher):
    """[MQTT-3.3.4-10] [MQTT-4.9.0-3] pings, subscriptions, and messages from this client."""
    client = connect(properties={"receive_maximum": 1})
    client.subscribe(unique, qos=1)
    publisher.publish(unique, b"1", qos=1)
    publisher.publish(unique, b"2", qos=1)
    held = client.receive_publish(acknowledge=False)
    client.ping()
    client.subscribe(unique + "/x")
    client.unsubscribe(unique + "/x")
    client.publish(unique + "/y", b"m", qos=1)
    client.publish(unique + "/y", b"m", qos=2)
    client.acknowledge(held)
    assert client.payloads(1) == [b"2"]


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_window_of_the_server(connect, unique, broker_with, version):
    """Q2: `mqtt.max_inflight` bounds clients that allow more."""
    to = broker_with("mqtt.max_inflight=2")
    publisher, client = connect(to=to), connect(version=version, to=to)
    client.subscribe(unique, qos=1)
    for number in range(5):
        publisher.publish(unique, b"%d" % number, qos=1)
    held = [client.receive_publish(acknowledge=False) for _ in range(2)]
    client.quiet(publisher)
    for each in held:
        client.acknowledge(each)
    assert client.payloads(3) == [b"2", b"3", b"4"]


@pytest.mark.ringmq_only("EMQX's default")
def test_default_window(connect, unique, publisher, current):
    """Q2: 32."""
    client = connect(version=current)
    client.subscribe(unique, qos=1)
    for number in range(40):
        publisher.publish(unique, b"%d" % number, qos=1)
    held = [client.receive_publish(acknowledge=False) for _ in range(32)]
    client.quiet(publisher)
    for each in held:
        client.acknowledge(each)
    assert client.payloads(8) == [b"%d" % number for number in range(32, 40)]


def test_receive_maximum_after_a_resume(connect, unique, publisher):
    """[MQTT-3.3.4-9] the new connection's value counts for what is re-sent as well."""
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1)
    for number in range(6):
        publisher.publish(unique, b"%d" % number, qos=1)
    for _ in range(6):
        client.receive_publish(acknowledge=False)
    client.drop()
    client = connect(unique, session=60, resume=True, properties={"receive_maximum": 2})
    assert client.payloads(6) == [b"%d" % number for number in range(6)]


def test_quota_of_the_server(connect, unique):
    """[MQTT-3.3.4-7] [MQTT-3.3.4-8] as many as it announced are taken at once."""
    client = connect()
    maximum = min(client.connack.properties.get("receive_maximum", 65535), 100)
    client.send(*(Publish(unique, b"m", 2, packet_id=number + 1) for number in range(maximum)))
    for number in range(maximum):
        client.expect_ack(PUBREC, number + 1)
    client.ping()
    for number in range(maximum):
        client.release(number + 1)


@pytest.mark.ringmq_only("mqtt.max_awaiting_rel")
def test_too_many_unreleased(connect, unique, broker_with, current):
    """Q8 P11 [MQTT-3.3.4-7] DISCONNECT 0x93."""
    client = connect(version=current, to=broker_with("mqtt.max_awaiting_rel=3"))
    for number in range(3):
        client.send(Publish(unique, b"m", 2, packet_id=number + 1))
        client.expect_ack(PUBREC, number + 1)
    client.send(Publish(unique, b"m", 2, packet_id=4))
    client.expect_disconnect(RECEIVE_MAXIMUM_EXCEEDED)


@pytest.mark.ringmq_only("mqtt.max_awaiting_rel")
def test_release_makes_room(connect, unique, broker_with):
    """Q8"""
    client = connect(to=broker_with("mqtt.max_awaiting_rel=3"))
    for number in range(20):
        client.send(Publish(unique, b"m", 2, packet_id=number + 1))
        client.expect_ack(PUBREC, number + 1)
        if number >= 2:
            client.release(number - 1)


@pytest.mark.ringmq_only("mqtt.await_rel_timeout")
def test_unreleased_identifiers_expire(connect, unique, broker_with):
    """Q8: `mqtt.await_rel_timeout`; an identifier forgotten by the client becomes free."""
    client = connect(to=broker_with("mqtt.await_rel_timeout=1s"))
    client.send(Publish(unique, b"m", 2, packet_id=1))
    client.expect_ack(PUBREC, 1)
    reason = 0x91
    while reason == 0x91:
        client.send(Publish(unique, b"m", 2, packet_id=1))
        reason = client.expect_ack(PUBREC, 1).reason
    assert reason in (0, 0x10)
