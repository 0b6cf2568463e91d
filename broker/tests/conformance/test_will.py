"""Will messages: when they are published and when not, QoS, RETAIN, properties. Delay: `test_will_delay.py`."""

import socket

import pytest

from packets import V5, V311, Connect, Disconnect, Filter, Publish, Will


@pytest.fixture
def watcher(connect, unique):
    client = connect()
    client.subscribe(Filter(unique, 2, retain_as_published=True))
    return client


@pytest.mark.parametrize("end", ["drop", "reset"])
def test_published_when_the_connection_breaks(connect, unique, watcher, version, end):
    """P15 [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT3-3.1.2-8]"""
    client = connect(version=version, will=Will(unique, b"gone"))
    getattr(client, end)()
    packet = watcher.receive_publish()
    assert (packet.payload, packet.qos, packet.retain, packet.dup) == (b"gone", 0, False, False)


def test_discarded_by_disconnect(connect, unique, watcher, version):
    """[MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT3-3.14.4-2] [MQTT3-3.1.2-10]"""
    connect(version=version, will=Will(unique, b"gone")).goodbye()
    watcher.quiet(connect())


@pytest.mark.parametrize("reason", [0x04, 0x80, 0x81, 0x93, 0x97])
def test_published_by_disconnect_with_another_reason(connect, unique, watcher, reason):
    """P15 [MQTT-3.1.2-8] [MQTT-3.1.2-10] only reason 0 discards it."""
    connect(will=Will(unique, b"gone")).goodbye(reason)
    assert watcher.receive_publish().payload == b"gone"


def test_published_once(connect, unique, watcher, current):
    """[MQTT-3.1.2-10] [MQTT3-3.1.2-10] the next connection of the session has no will."""
    connect(unique, current, session=60, will=Will(unique, b"gone")).drop()
    assert watcher.receive_publish().payload == b"gone"
    connect(unique, current, session=60, resume=True).drop()
    connect(unique, current, session=60, resume=True).goodbye()
    watcher.quiet(connect())


def test_no_will_nothing_published(connect, unique, watcher, current):
    """[MQTT3-3.1.2-12]"""
    connect(version=current).drop()
    watcher.quiet(connect())


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_qos(connect, unique, watcher, current, qos):
    """[MQTT-3.1.2-12] [MQTT3-3.1.2-14]"""
    connect(version=current, will=Will(unique, b"gone", qos)).drop()
    assert watcher.receive_publish().qos == qos


@pytest.mark.parametrize("retain", [False, True])
def test_retain(connect, unique, watcher, current, retain):
    """[MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]"""
    connect(version=current, will=Will(unique, b"gone", 1, retain)).drop()
    assert watcher.receive_publish().retain == retain
    later = connect()
    later.subscribe(unique)
    if retain:
        assert later.receive_publish().payload == b"gone"
    later.quiet(connect())


def test_empty_retained_will_deletes(connect, unique, watcher):
    """M8 [MQTT-3.3.1-6] a will is a publication like any other."""
    publisher = connect()
    publisher.publish(unique, b"kept", qos=1, retain=True)
    assert watcher.receive_publish().payload == b"kept"
    connect(will=Will(unique, b"", 1, True)).drop()
    assert watcher.receive_publish().payload == b""
    later = connect()
    later.subscribe(unique)
    later.quiet(publisher)


def test_properties(connect, unique, watcher):
    """[MQTT-3.1.3-10] [MQTT-3.3.2-18] forwarded, user properties in order; the delay is none of them."""
    given = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "reply",
        "correlation_data": b"\0\1",
        "user_property": [("b", "1"), ("a", "2"), ("b", "1"), ("", "")],
    }
    connect(will=Will(unique, b"gone", properties=given)).drop()
    assert watcher.receive_publish().properties == given


def test_published_after_a_protocol_error(connect, unique, watcher, current):
    """3.1.2.5 [MQTT3-3.1.2-8] [MQTT-3.1.2-8]"""
    client = connect(unique, current, will=Will(unique, b"gone"))
    client.send(Connect(unique, current))
    client.expect_end()
    assert watcher.receive_publish().payload == b"gone"


def test_published_after_keep_alive(connect, unique, watcher, current):
    """P15 P18 [MQTT-3.1.2-22] [MQTT3-3.1.2-24] as if the network had failed."""
    connect(unique, current, keep_alive=1, will=Will(unique, b"gone"))
    assert watcher.receive_publish().payload == b"gone"


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_published_at_take_over(connect, unique, watcher, version):
    """P15: the old connection was closed by the Server, and not by DISCONNECT 0."""
    connect(unique, version, will=Will(unique, b"gone"))
    connect(unique, version)
    assert watcher.receive_publish().payload == b"gone"
    watcher.quiet(connect())


def test_half_closed_connection(connect, unique, watcher):
    """The end of the stream from the client is the end of the connection."""
    client = connect(will=Will(unique, b"gone"))
    client.socket.shutdown(socket.SHUT_WR)
    assert watcher.receive_publish().payload == b"gone"


def test_queued_for_absent_subscribers(connect, unique, current):
    """[MQTT-4.5.0-1] [MQTT3-4.5.0-1]"""
    absent = connect(unique, current, session=60)
    absent.subscribe(unique, qos=1)
    absent.goodbye()
    present = connect()
    present.subscribe(unique)
    connect(will=Will(unique, b"gone", 1)).drop()
    assert present.receive_publish().payload == b"gone"
    assert connect(unique, current, session=60, resume=True).payloads(1) == [b"gone"]


def test_nothing_after_disconnect_is_processed(connect, unique, watcher, current):
    """[MQTT-3.14.4-1] [MQTT3-3.14.4-1] [MQTT-3.14.4-2]"""
    client = connect(version=current)
    client.send(Publish(unique, b"before"), Disconnect(), Publish(unique, b"after"))
    client.expect_end()
    assert watcher.payloads(1) == [b"before"]
    watcher.quiet(connect())


def test_large_will(connect, unique, watcher, current):
    """A will of 60 kB."""
    connect(version=current, will=Will(unique, b"w" * 60_000, 1)).drop()
    assert watcher.receive_publish().payload == b"w" * 60_000
