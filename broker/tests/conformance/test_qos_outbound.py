"""Deliveries from the Server at QoS 0, 1 and 2: granted QoS, acknowledgements, identifiers.

The client of the tests checks identifiers and flags of every packet. Absent: resuming (`test_resume.py`), windows
(`test_flow_control.py`).
"""

import pytest

from packets import PUBACK, PUBREC, PUBREL, Ack, Publish


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_lower_of_published_and_granted(connect, unique, version, published, granted):
    """[MQTT-3.8.4-8] [MQTT-3.8.4-7] [MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT3-4.3.1-1] [MQTT3-2.3.1-5] P24"""
    subscriber = connect(version=version)
    subscriber.subscribe(unique, qos=granted)
    connect().publish(unique, b"m", qos=published)
    packet = subscriber.receive_publish()
    assert (packet.qos, packet.payload, packet.retain) == (min(published, granted), b"m", False)
    subscriber.ping()


def test_qos1_is_delivered_once_and_waits_for_puback(connect, unique, current):
    """[MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT3-4.3.2-1] Q7: no re-send on a live connection"""
    subscriber = connect(version=current)
    subscriber.subscribe(unique, qos=1)
    publisher = connect()
    publisher.publish(unique, b"m", qos=1)
    packet = subscriber.receive_publish(acknowledge=False)
    assert not packet.dup
    subscriber.quiet(publisher)
    subscriber.acknowledge(packet)
    subscriber.quiet(publisher)


def test_qos2_in_four_steps(connect, unique, current):
    """[MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.3.3-1]"""
    subscriber = connect(version=current)
    subscriber.subscribe(unique, qos=2)
    publisher = connect()
    publisher.publish(unique, b"m", qos=2)
    packet = subscriber.receive_publish(acknowledge=False)
    assert (packet.dup, packet.qos) == (False, 2)
    subscriber.quiet(publisher)
    subscriber.send(Ack(PUBREC, packet.packet_id))
    release = subscriber.expect(Ack)
    assert (release.kind, release.packet_id, release.reason) == (PUBREL, packet.packet_id, 0)
    subscriber.quiet(publisher)
    subscriber.complete(packet.packet_id)
    subscriber.quiet(publisher)


def test_repeated_pubrec_gets_pubrel_again(connect, unique, current):
    """[MQTT-4.3.3-4] a client that missed the PUBREL may repeat its PUBREC."""
    subscriber = connect(version=current)
    subscriber.subscribe(unique, qos=2)
    connect().publish(unique, b"m", qos=2)
    packet = subscriber.receive_publish(acknowledge=False)
    for _ in range(2):
        subscriber.send(Ack(PUBREC, packet.packet_id))
        release = subscriber.expect(Ack)
        assert (release.kind, release.packet_id) == (PUBREL, packet.packet_id)


@pytest.mark.parametrize("kind", [PUBACK, PUBREC], ids=["PUBACK", "PUBREC"])
@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x97, 0x99])
def test_refusal_ends_the_exchange(connect, unique, kind, reason):
    """[MQTT-4.4.0-2] no PUBREL, and no re-send after a reconnection."""
    subscriber = connect(unique, session=60)
    subscriber.subscribe(unique, qos=1 if kind == PUBACK else 2)
    publisher = connect()
    publisher.publish(unique, b"m", qos=2)
    subscriber.acknowledge(subscriber.receive_publish(acknowledge=False), reason)
    subscriber.ping()
    subscriber.drop()
    subscriber = connect(unique, session=60, resume=True)
    subscriber.quiet(publisher)


def test_identifiers_are_not_reused_while_in_flight(connect, unique, current):
    """[MQTT-2.2.1-4] [MQTT3-2.3.1-4] the client checks each packet; here acknowledged out of order."""
    subscriber = connect(version=current)
    subscriber.subscribe(unique, qos=1)
    publisher = connect()
    held = []
    for number in range(60):
        publisher.publish(unique, b"%d" % number, qos=1)
        held.append(subscriber.receive_publish(acknowledge=False))
        if len(held) > 10:
            subscriber.acknowledge(held.pop(5))
    assert len({each.packet_id for each in held}) == len(held)


def test_identifiers_wrap(connect, unique):
    """[MQTT-2.2.1-4] after 65535 messages identifiers start again and skip what is still in use."""
    subscriber = connect(unique)
    subscriber.subscribe(unique, qos=1)
    publisher = connect()
    publisher.publish(unique, b"held", qos=1)
    held = subscriber.receive_publish(acknowledge=False)
    total, batch = 66_000, 100
    for _ in range(total // batch):
        publisher.send(*(Publish(unique, b"", 1, packet_id=number) for number in range(1, batch + 1)))
        for _ in range(batch):
            packet = subscriber.receive_publish()
            assert packet.packet_id != held.packet_id
        for number in range(1, batch + 1):
            publisher.expect_ack(PUBACK, number)
    subscriber.acknowledge(held)
    subscriber.ping()
