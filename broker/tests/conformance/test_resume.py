"""Sessions that outlive a connection: subscriptions, queued messages, re-sent in-flight messages and releases."""

import pytest

from packets import PUBREC, PUBREL, V5, V311, Ack


def test_subscriptions_and_messages_survive(connect, unique, current):
    """Q1 Q11 [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-4.5.0-1] [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-4.5.0-1]"""
    connect(unique, current, session=60).subscribe(unique, qos=1)
    # the first connection is still open: closed by the test's end, taken over below
    publisher = connect()
    old = connect(unique, current, session=60, resume=True)
    old.goodbye()
    for number in range(20):
        publisher.publish(unique, b"%d" % number, qos=1)
    client = connect(unique, current, session=60, resume=True)
    assert client.payloads(20) == [b"%d" % number for number in range(20)]
    publisher.publish(unique, b"live", qos=1)
    assert client.payloads(1) == [b"live"]
    client.quiet(publisher)


def test_v31_session_survives_too(connect, unique):
    """P1"""
    client = connect(unique, 3, session=60)
    client.subscribe(unique, qos=1)
    client.goodbye()
    connect().publish(unique, b"kept", qos=1)
    assert connect(unique, 3, resume=True, session=60).payloads(1) == [b"kept"]


def test_session_moves_between_versions(connect, unique):
    """P1 P14: a session belongs to the client identifier, whatever version the client speaks."""
    client = connect(unique, V311, session=60)
    client.subscribe(unique, qos=1)
    client.goodbye()
    connect().publish(unique, b"kept", qos=1)
    client = connect(unique, V5, session=60, resume=True)
    assert client.payloads(1) == [b"kept"]


@pytest.mark.parametrize("end", ["goodbye", "drop", "reset"])
def test_every_end_keeps_the_session(connect, unique, current, end):
    """[MQTT-4.1.0-1] [MQTT-3.1.2-23] whatever ended the connection."""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=1)
    getattr(client, end)()
    connect(unique, current, session=60, resume=True).goodbye()
    connect().publish(unique, b"m", qos=1)
    assert connect(unique, current, session=60, resume=True).payloads(1) == [b"m"]


@pytest.mark.parametrize("qos", [1, 2])
def test_in_flight_messages_are_sent_again_in_order(connect, unique, current, qos):
    """Q7 [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-5] [MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-4.6.0-6]
    [MQTT-4.3.2-3] [MQTT-4.3.3-3] original identifiers, DUP=1, then what came later with DUP=0."""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=qos)
    publisher = connect()
    for number in range(5):
        publisher.publish(unique, b"%d" % number, qos=qos)
    first = [client.receive_publish(acknowledge=False) for _ in range(5)]
    client.drop()
    connect(unique, current, session=60, resume=True).drop()
    publisher.publish(unique, b"5", qos=qos)
    client = connect(unique, current, session=60, resume=True)
    again = [client.receive_publish(acknowledge=False) for _ in range(6)]
    assert [each.payload for each in again] == [b"%d" % number for number in range(6)]
    assert [each.packet_id for each in again[:5]] == [each.packet_id for each in first]
    assert [each.dup for each in again[:5]] == [True] * 5
    assert not any(each.dup for each in first)
    for each in again:
        client.acknowledge(each)
    client.quiet(publisher)


def test_only_unacknowledged_messages_are_sent_again(connect, unique, current):
    """[MQTT-4.4.0-1] [MQTT-4.4.0-2]"""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=1)
    publisher = connect()
    for number in range(4):
        publisher.publish(unique, b"%d" % number, qos=1)
    received = [client.receive_publish(acknowledge=False) for _ in range(4)]
    client.acknowledge(received[0])
    client.acknowledge(received[2])
    client.ping()
    client.drop()
    client = connect(unique, current, session=60, resume=True)
    assert client.payloads(2) == [b"1", b"3"]
    client.quiet(publisher)


def test_pubrel_is_sent_again(connect, unique, current):
    """Q7 [MQTT-4.4.0-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.4.0-1] PUBREL, and not the PUBLISH before it."""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=2)
    publisher = connect()
    publisher.publish(unique, b"m", qos=2)
    packet = client.receive_publish(acknowledge=False)
    client.send(Ack(PUBREC, packet.packet_id))
    client.expect_ack(PUBREL, packet.packet_id)
    client.drop()
    client = connect(unique, current, session=60, resume=True)
    release = client.expect(Ack)
    assert (release.kind, release.packet_id) == (PUBREL, packet.packet_id)
    client.complete(packet.packet_id)
    client.quiet(publisher)
    client.drop()
    connect(unique, current, session=60, resume=True).quiet(publisher)


def test_releases_and_messages_in_one_resume(connect, unique):
    """Q7: one exchange waits for PUBCOMP, the next for PUBREC."""
    client = connect(unique, session=60)
    client.subscribe(unique, qos=2)
    publisher = connect()
    publisher.publish(unique, b"a", qos=2)
    publisher.publish(unique, b"b", qos=2)
    first, second = (client.receive_publish(acknowledge=False) for _ in range(2))
    client.send(Ack(PUBREC, first.packet_id))
    client.expect_ack(PUBREL, first.packet_id)
    client.drop()
    client = connect(unique, session=60, resume=True)
    release, again = client.expect(Ack), client.receive()
    assert (release.kind, release.packet_id) == (PUBREL, first.packet_id)
    assert (again.packet_id, again.payload, again.dup) == (second.packet_id, b"b", True)
    client.complete(first.packet_id)
    client.acknowledge(again)
    client.quiet(publisher)


def test_clean_start_discards_the_session(connect, unique, current):
    """[MQTT-3.1.2-4] [MQTT3-3.1.2-6] [MQTT-3.1.4-4] [MQTT3-3.1.4-3]"""
    client = connect(unique, current, session=60)
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher = connect()
    publisher.publish(unique, b"lost", qos=1)
    client = connect(unique, current, clean=True)
    publisher.publish(unique, b"unheard", qos=1)
    client.quiet(publisher)


def test_clean_session_leaves_nothing(connect, unique):
    """[MQTT3-3.1.2-6] state of a clean session is not used by a later one."""
    client = connect(unique, V311, clean=True)
    client.subscribe(unique, qos=1)
    client.goodbye()
    connect(unique, V311, clean=False, present=False).quiet(connect())


def test_retained_messages_outlive_sessions(connect, unique, current):
    """[MQTT3-3.1.2-7]"""
    client = connect(unique, current, clean=True)
    client.publish(unique, b"kept", qos=1, retain=True)
    client.goodbye()
    reader = connect(version=current)
    reader.subscribe(unique)
    assert reader.receive_publish().payload == b"kept"


def test_resume_sends_no_retained_messages(connect, unique):
    """Q7: a resumed subscription is not a new one."""
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1)
    publisher = connect()
    publisher.publish(unique, b"r", qos=1, retain=True)
    client.receive_publish()
    client.goodbye()
    connect(unique, session=60, resume=True).quiet(publisher)


def test_qos0_is_queued_while_offline(connect, unique, broker_with):
    """Q4: `mqtt.mqueue_store_qos0` is true by default."""
    to = broker_with("mqtt.mqueue_store_qos0=true")
    client = connect(unique, session=60, to=to)
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher = connect(to=to)
    publisher.publish(unique, b"zero", qos=0)
    publisher.publish(unique, b"one", qos=1)
    client = connect(unique, session=60, resume=True, to=to)
    assert client.payloads(2) == [b"zero", b"one"]


def test_qos0_is_not_queued_when_switched_off(connect, unique, broker_with, settle):
    """Q4"""
    to = broker_with("mqtt.mqueue_store_qos0=false")
    client = connect(unique, session=60, to=to)
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher = connect(to=to)
    publisher.publish(unique, b"zero", qos=0)
    publisher.publish(unique, b"one", qos=1)
    settle(publisher, to)
    client = connect(unique, session=60, resume=True, to=to)
    assert client.payloads(1) == [b"one"]
    client.quiet(publisher)


def test_unsubscribe_survives(connect, unique, current):
    """[MQTT-3.10.4-1] what was unsubscribed is not resumed."""
    client = connect(unique, current, session=60)
    client.subscribe(unique + "/a", unique + "/b", qos=1)
    client.unsubscribe(unique + "/a")
    client.goodbye()
    publisher = connect()
    publisher.publish(unique + "/a", b"a", qos=1)
    publisher.publish(unique + "/b", b"b", qos=1)
    client = connect(unique, current, session=60, resume=True)
    assert client.payloads(1) == [b"b"]
    client.quiet(publisher)


def test_many_sessions_resume(connect, unique):
    """Q1: client identifiers on every shard."""
    names = [f"{unique}-{number}" for number in range(24)]
    for name in names:
        client = connect(name, session=60)
        client.subscribe(f"{unique}/{name}", qos=1)
        client.drop()
    publisher = connect()
    for name in names:
        connect(name, session=60, resume=True).goodbye()
        publisher.publish(f"{unique}/{name}", name.encode(), qos=1)
    for name in names:
        assert connect(name, session=60, resume=True).payloads(1) == [name.encode()]
