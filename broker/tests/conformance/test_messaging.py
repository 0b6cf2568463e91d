"""Operator's subscriptions (M13), topic rewriting (M14), delayed messages (M15)."""

import time

import pytest

from packets import V5, V311
from wire_client import let_time_pass


@pytest.fixture
def auto(broker_with):
    return broker_with(
        'auto_subscribe.topics=[{topic = "to/${clientid}", qos = 1}, {topic = "user/${username}"},'
        ' {topic = "from/${host}/${port}", qos = 2}]'
    )


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
def test_auto_subscribe(connect, unique, auto, version):
    """M13: after CONNACK and without an answer; placeholders are the client's own."""
    client, publisher = connect(unique, version, to=auto), connect(to=auto)
    host, port = client.socket.getsockname()[:2]
    # The subscriptions are made before anything else of the client is read.
    client.ping()
    for topic, qos in ((f"to/{unique}", 1), (f"from/{host}/{port}", 2)):
        publisher.publish(topic, b"m", qos=2)
        got = client.receive_publish()
        assert (got.topic, got.payload, got.qos) == (topic, b"m", qos)
    publisher.publish("user/", b"m", qos=1)
    client.quiet(publisher)


def test_auto_subscribe_by_user_name(connect, unique, auto):
    """M13: an entry with a user name is for those that have one."""
    client, publisher = connect(username=unique, to=auto), connect(to=auto)
    client.ping()
    publisher.publish(f"user/{unique}", b"m", qos=1)
    assert client.receive_publish().payload == b"m"


def test_auto_subscribe_with_retained(connect, unique, auto):
    """M13 M7"""
    publisher = connect(to=auto)
    publisher.publish(f"to/{unique}", b"kept", qos=1, retain=True)
    got = connect(unique, to=auto).receive_publish()
    assert (got.payload, got.retain) == (b"kept", True)
    publisher.publish(f"to/{unique}", b"", qos=1, retain=True)


@pytest.fixture
def rewriting(broker_with):
    return broker_with(
        'rewrite=[{action = all, source_topic = "y/+/z/#", re = "^y/(.+)/z/(.+)$", dest_topic = "y/z/$2"},'
        ' {action = publish, source_topic = "own/#", re = "^own/(.+)$", dest_topic = "of/${clientid}/$1"},'
        ' {action = subscribe, source_topic = "x/#", re = "^x/y/(.+)$", dest_topic = "z/$1"}]'
    )


def test_rewrite(connect, unique, rewriting):
    """M14: both sides, shared filters, and unsubscribing by the name that was subscribed."""
    client, publisher = connect(to=rewriting), connect(unique, to=rewriting)
    client.subscribe(f"y/a/z/{unique}", f"$share/g/x/y/{unique}", f"of/{unique}/t", qos=1)
    for sent, received in (
        (f"y/b/z/{unique}", f"y/z/{unique}"),
        (f"z/{unique}", f"z/{unique}"),
        ("own/t", f"of/{unique}/t"),
    ):
        publisher.publish(sent, b"m", qos=1)
        assert client.receive_publish().topic == received
    assert client.unsubscribe(f"y/a/z/{unique}", f"$share/g/x/y/{unique}").reasons == [0, 0]
    publisher.publish(f"y/b/z/{unique}", b"m", qos=1)
    client.quiet(publisher)


def test_rewrite_retained(connect, unique, rewriting):
    """M14: kept under the new name."""
    client, publisher = connect(to=rewriting), connect(to=rewriting)
    publisher.publish(f"y/b/z/{unique}", b"kept", qos=1, retain=True)
    client.subscribe(f"y/z/{unique}")
    assert client.receive_publish().payload == b"kept"
    publisher.publish(f"y/z/{unique}", b"", qos=1, retain=True)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_delayed(connect, unique, qos):
    """M15: acknowledged at once, delivered later, under the topic behind the delay."""
    client, publisher = connect(), connect()
    client.subscribe(unique, qos=qos)
    sent = time.monotonic()
    publisher.publish(f"$delayed/1/{unique}", b"later", qos=qos, reasons=(0,))
    publisher.publish(unique, b"now", qos=qos)
    assert client.receive_publish().payload == b"now"
    got = client.receive_publish()
    assert (got.topic, got.payload) == (unique, b"later")
    assert time.monotonic() - sent >= 0.95


def test_delayed_until_a_time(connect, unique):
    """M15: a number above 4294967 is a Unix time in seconds."""
    client, publisher = connect(), connect()
    client.subscribe(unique, qos=1)
    due = int(time.time()) + 2
    publisher.publish(f"$delayed/{due}/{unique}", b"then", qos=1, reasons=(0,))
    publisher.publish(f"$delayed/{due - 60}/{unique}", b"past", qos=1, reasons=(0,))
    assert client.receive_publish().payload == b"past"
    assert client.receive_publish().payload == b"then"
    assert time.time() >= due - 0.1


@pytest.mark.parametrize("topic", ["$delayed/x/{}", "$delayed//{}", "$delayed/1/", "$delayed/99999999999999/{}"])
def test_delayed_by_nonsense(connect, unique, topic):
    """M15: discarded."""
    client, publisher = connect(), connect()
    client.subscribe(unique, "$delayed/#")
    publisher.publish(topic.format(unique), b"m", qos=1, reasons=(0x10,))
    client.quiet(publisher)


def test_delayed_limit(connect, unique, broker_with):
    """M15: `delayed.max_delayed_messages` for each shard."""
    to = broker_with("delayed.max_delayed_messages=2")
    client = connect(to=to)
    client.subscribe(unique, qos=1)
    for reason in (0, 0, 0x10):
        client.publish(f"$delayed/1/{unique}", b"m", qos=1, reasons=(reason,))
    let_time_pass(1)
    assert client.payloads(2) == [b"m", b"m"]
    client.publish(f"$delayed/60/{unique}", b"m", qos=1, reasons=(0,))


def test_delayed_turned_off(connect, unique, broker_with):
    """M15: a topic like any other."""
    client = connect(to=broker_with("delayed.enable=false"))
    client.subscribe("$delayed/#", qos=1)
    client.publish(f"$delayed/60/{unique}", b"m", qos=1)
    assert client.receive_publish().topic == f"$delayed/60/{unique}"
