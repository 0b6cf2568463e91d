"""A second connection under a client identifier in use (P23)."""

import pytest

from packets import PUBACK, V5, V31, V311, Connack, Connect, Publish
from wire_client import ConnectionClosed

TAKEN_OVER = 0x8E


@pytest.mark.parametrize("new", [V31, V311, V5])
@pytest.mark.parametrize("old", [V31, V311, V5])
def test_old_connection_is_closed(connect, unique, old, new):
    """[MQTT-3.1.4-3] [MQTT3-3.1.4-2] with 0x8E where there are reasons."""
    first = connect(unique, old)
    second = connect(unique, new)
    first.expect_disconnect(TAKEN_OVER)
    second.ping()


def test_session_is_taken_over(connect, unique, current):
    """P23 [MQTT-3.1.2-5] [MQTT3-3.1.2-4] with messages in flight."""
    first = connect(unique, current, session=60)
    first.subscribe(unique, qos=1)
    publisher = connect()
    publisher.publish(unique, b"held", qos=1)
    held = first.receive_publish(acknowledge=False)
    second = connect(unique, current, session=60, resume=True)
    first.expect_disconnect(TAKEN_OVER)
    again = second.receive_publish()
    assert (again.payload, again.packet_id, again.dup) == (b"held", held.packet_id, True)
    publisher.publish(unique, b"new", qos=1)
    assert second.payloads(1) == [b"new"]
    second.quiet(publisher)


def test_session_is_discarded(connect, unique, current):
    """P23 [MQTT-3.1.2-4] [MQTT3-3.1.2-6] Clean Start ends subscriptions of the old connection."""
    first = connect(unique, current, session=60)
    first.subscribe(unique, qos=1)
    second = connect(unique, current, clean=True)
    first.expect_disconnect(TAKEN_OVER)
    publisher = connect()
    publisher.publish(unique, b"m", qos=1)
    second.quiet(publisher)


def test_identifier_alone_decides(connect, unique):
    """[MQTT-3.1.3-2] [MQTT3-3.1.3-2] user names and the like make no difference, letter case does."""
    first = connect(unique + "a", username="one")
    other = connect(unique + "A", username="one")
    connect(unique + "a", username="two")
    first.expect_disconnect(TAKEN_OVER)
    other.ping()


def test_chain_of_take_overs(connect, unique):
    """Each connection replaces the one before; no message is lost or repeated."""
    publisher = connect()
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1)
    for number in range(20):
        publisher.publish(unique, b"%d" % number, qos=1)
        following = connect(unique, session=60, resume=True)
        assert following.payloads(1) == [b"%d" % number]
        client.expect_end()
        client = following
    client.quiet(publisher)


def test_race_for_one_identifier(raw, unique):
    """[MQTT-3.1.4-3] many connections at once: each is accepted and all but one closed."""
    clients = [raw() for _ in range(12)]
    packet = Connect(unique)
    for client in clients:
        client.begin(packet)
        client.send(packet)
    survivors = 0
    for client in clients:
        client.connack = client.expect(Connack)
        assert client.connack.reason == 0
    for client in clients:
        try:
            client.ping()
            survivors += 1
        except (ConnectionClosed, AssertionError):
            pass
    # a ping may have been answered before the connection was closed: ask again
    assert survivors >= 1
    alive = 0
    for client in clients:
        try:
            client.ping()
            alive += 1
        except (ConnectionClosed, AssertionError, OSError):
            pass
    assert alive == 1


def test_messages_during_take_overs(connect, unique):
    """P23 Q12: a stream of messages passes through changing connections complete and in order."""
    publisher = connect()
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1)
    total, got = 100, []
    for number in range(total):
        publisher.send(Publish(unique, b"%d" % number, 1, packet_id=number + 1))
        if number % 10 == 9:
            client = connect(unique, session=60, resume=True)
            while len(got) <= number:
                packet = client.receive_publish()
                if packet.payload not in got:
                    got.append(packet.payload)
    for number in range(total):
        publisher.expect_ack(PUBACK, number + 1)
    assert got == [b"%d" % number for number in range(total)]
