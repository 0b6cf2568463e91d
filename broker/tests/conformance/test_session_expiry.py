"""Session Expiry Interval: how long a session outlives its connection (P14).

The end of a session is awaited through its will: with a longer delay it is published when the session ends.
"""

import pytest

from packets import V5, V311, Disconnect, Will

PROTOCOL_ERROR = 0x82
FOREVER = 0xFFFF_FFFF


@pytest.fixture
def end_of_session(connect, unique):
    """A will that is published at the end of its session, and a way to wait for that."""
    topic = unique + "/ended"
    watcher = connect()
    watcher.subscribe(topic, qos=1)
    will = Will(topic, b"ended", 1, properties={"will_delay_interval": 1000})
    return will, watcher.receive_publish


def test_zero_ends_with_the_connection(connect, unique):
    """[MQTT-3.1.2-23] [MQTT-4.1.0-2] absent means 0."""
    client = connect(unique, clean=False)
    client.subscribe(unique, qos=1)
    client.goodbye()
    connect(unique, clean=False, present=False)


def test_session_ends_after_its_interval(connect, unique, end_of_session):
    """[MQTT-4.1.0-2] with its subscriptions and messages."""
    will, wait = end_of_session
    client = connect(unique, session=1, will=will)
    client.subscribe(unique, qos=1)
    client.drop()
    publisher = connect()
    publisher.publish(unique, b"queued", qos=1)
    wait()
    publisher.publish_until_unmatched(unique)
    client = connect(unique, clean=False, session=60, present=False)
    client.quiet(publisher)


def test_session_lives_while_connected(connect, unique, end_of_session):
    """[MQTT-4.1.0-1] the interval runs from the end of the connection."""
    will, wait = end_of_session
    client = connect(unique, session=1)
    client.subscribe(unique, qos=1)
    connect(session=1, will=will).drop()
    wait()
    connect().publish(unique, b"m", qos=1)
    assert client.payloads(1) == [b"m"]


def test_forever(connect, unique):
    """3.1.2.11.2: 0xFFFFFFFF never expires."""
    connect(unique, session=FOREVER).drop()
    connect(unique, session=FOREVER, resume=True)


def test_shorter_in_disconnect(connect, unique):
    """P14 3.14.2.2.2: 0 ends the session at once."""
    connect(unique, session=60).goodbye(properties={"session_expiry_interval": 0})
    connect(unique, clean=False, present=False)


def test_longer_in_disconnect(connect, unique, end_of_session):
    """P14: 1 becomes 60."""
    will, wait = end_of_session
    client = connect(unique, session=1)
    client.goodbye(properties={"session_expiry_interval": 60})
    connect(session=2, will=will).drop()
    wait()
    connect(unique, session=60, resume=True)


def test_from_zero_in_disconnect_is_an_error(connect, unique):
    """P14 3.14.2.2.2: 0 in CONNECT, not 0 in DISCONNECT is a Protocol Error."""
    client = connect(unique)
    client.send(Disconnect(0, {"session_expiry_interval": 60}))
    client.expect_end()
    assert client.disconnect is None or client.disconnect.reason == PROTOCOL_ERROR
    connect(unique, clean=False, present=False)


def test_each_connect_sets_the_interval(connect, unique):
    """[MQTT-4.1.0-2] the last CONNECT counts."""
    connect(unique, session=60).drop()
    connect(unique, session=0, resume=True).goodbye()
    connect(unique, clean=False, present=False)


def test_resuming_stops_the_clock(connect, unique, end_of_session):
    """[MQTT-4.1.0-1] [MQTT-4.1.0-2] a session that is in use again does not end."""
    will, wait = end_of_session
    connect(unique, session=1).drop()
    client = connect(unique, session=1, resume=True)
    connect(session=2, will=will).drop()
    wait()
    client.ping()
    client.drop()
    connect(unique, session=1, resume=True)


@pytest.mark.ringmq_only("mqtt.session_expiry_interval")
def test_old_clients_get_the_configured_interval(connect, unique, broker_with):
    """P14: CleanSession=0 lives for `mqtt.session_expiry_interval`."""
    to = broker_with("mqtt.session_expiry_interval=1s")
    watcher = connect(to=to)
    watcher.subscribe(unique, qos=1)
    connect(unique, V311, session=1, to=to).drop()
    will = Will(unique, b"later", 1, properties={"will_delay_interval": 2})
    connect(version=V5, session=60, will=will, to=to).drop()
    watcher.receive_publish()
    connect(unique, V311, session=1, to=to, present=False)


def test_clean_start_with_an_interval(connect, unique):
    """3.1.2.11.2: Clean Start 1 and an interval: a new session that will be kept."""
    connect(unique, clean=True, session=60).drop()
    connect(unique, session=60, resume=True)
