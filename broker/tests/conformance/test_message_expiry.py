"""Message Expiry Interval in queues, in the retained store and on the wire (P13, Q6)."""

import pytest

from packets import V5, Filter, Will
from wire_client import let_time_pass

ONE_SECOND = {"message_expiry_interval": 1}
JUST_OVER = 1.3
"""Seconds after which an interval of one second is over for every rounding."""


def test_queued_message_expires(connect, unique):
    """P13 Q6 [MQTT-3.3.2-5] and the ones that have not expired keep their order."""
    client, publisher = connect(unique, session=60), connect()
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher.publish(unique, b"1", qos=1)
    publisher.publish(unique, b"2", qos=1, properties=ONE_SECOND)
    publisher.publish(unique, b"3", qos=1, properties={"message_expiry_interval": 100})
    let_time_pass(JUST_OVER)
    client = connect(unique, session=60, resume=True)
    assert client.payloads(2) == [b"1", b"3"]
    client.quiet(publisher)


def test_message_waiting_for_the_window_expires(connect, unique):
    """P13 Q6 [MQTT-3.3.2-5] the client is connected, its window full."""
    client, publisher = connect(properties={"receive_maximum": 1}), connect()
    client.subscribe(unique, qos=1)
    publisher.publish(unique, b"1", qos=1)
    publisher.publish(unique, b"2", qos=1, properties=ONE_SECOND)
    publisher.publish(unique, b"3", qos=1)
    held = client.receive_publish(acknowledge=False)
    let_time_pass(JUST_OVER)
    client.acknowledge(held)
    assert client.payloads(1) == [b"3"]
    client.quiet(publisher)


@pytest.mark.parametrize("qos", [1, 2])
def test_message_in_flight_does_not_expire(connect, unique, qos):
    """[MQTT-4.3.3-7] [MQTT-4.3.3-13] once sent, a message is completed, after a reconnection too."""
    client, publisher = connect(unique, session=60), connect()
    client.subscribe(unique, qos=qos)
    publisher.publish(unique, b"m", qos=qos, properties=ONE_SECOND)
    client.receive_publish(acknowledge=False)
    client.drop()
    let_time_pass(JUST_OVER)
    client = connect(unique, session=60, resume=True)
    packet = client.receive_publish()
    assert (packet.payload, packet.dup) == (b"m", True)


def test_remaining_time_is_sent(connect, unique):
    """P13 [MQTT-3.3.2-6] the received value less the time in the Server."""
    client, publisher = connect(unique, session=60), connect()
    client.subscribe(unique, qos=1)
    publisher.publish(unique, b"live", qos=1, properties={"message_expiry_interval": 100})
    assert client.receive_publish().properties["message_expiry_interval"] in (99, 100)
    client.goodbye()
    publisher.publish(unique, b"queued", qos=1, properties={"message_expiry_interval": 100})
    let_time_pass(JUST_OVER)
    client = connect(unique, session=60, resume=True)
    assert client.receive_publish().properties["message_expiry_interval"] in (98, 99)


def test_no_interval_none_sent(connect, unique):
    """P13: `mqtt.message_expiry_interval` is infinity."""
    client, publisher = connect(), connect()
    client.subscribe(unique)
    publisher.publish(unique, b"m")
    assert client.receive_publish().properties == {}


def test_retained_message_expires(connect, unique):
    """M4 [MQTT-3.3.2-5]"""
    publisher = connect()
    publisher.publish(unique + "/gone", b"m", qos=1, retain=True, properties=ONE_SECOND)
    publisher.publish(unique + "/stays", b"m", qos=1, retain=True, properties={"message_expiry_interval": 100})
    early = connect()
    early.subscribe(unique + "/gone")
    assert early.receive_publish().retain
    let_time_pass(JUST_OVER)
    client = connect()
    client.subscribe(unique + "/+")
    packet = client.receive_publish()
    assert packet.topic == unique + "/stays"
    assert packet.properties["message_expiry_interval"] in (98, 99)
    client.quiet(publisher)


def test_will_message_expires(connect, unique):
    """3.1.3.2.4: the interval of the will counts from its publication."""
    watcher = connect(unique, session=60)
    watcher.subscribe(unique, qos=1)
    will = Will(unique, b"gone", 1, properties={"message_expiry_interval": 50})
    connect(will=will).drop()
    assert watcher.receive_publish().properties["message_expiry_interval"] in (49, 50)


def test_expiry_zero_reaches_whoever_is_there(connect, unique):
    """3.3.2.3.3: with 0 a message is delivered at once or not at all; nothing is left queued."""
    client, publisher = connect(unique, V5, session=60), connect()
    client.subscribe(Filter(unique, 1))
    client.goodbye()
    publisher.publish(unique, b"never", qos=1, properties={"message_expiry_interval": 0})
    publisher.publish(unique, b"kept", qos=1)
    let_time_pass(JUST_OVER)
    client = connect(unique, session=60, resume=True)
    assert client.payloads(1) == [b"kept"]
    client.quiet(publisher)


@pytest.mark.ringmq_only("mqtt.message_expiry_interval")
def test_configured_interval(connect, unique, broker_with):
    """P13: for messages without one."""
    to = broker_with("mqtt.message_expiry_interval=1s")
    client, publisher = connect(unique, session=60, to=to), connect(to=to)
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher.publish(unique, b"gone", qos=1)
    let_time_pass(JUST_OVER)
    publisher.publish(unique, b"fresh", qos=1)
    client = connect(unique, session=60, resume=True, to=to)
    assert client.payloads(1) == [b"fresh"]
