"""Retained messages: storing, replacing, deleting, sending to new subscriptions.

Absent: Retain Handling and Retain As Published (`test_subscription_options.py`).
"""

import pytest

from packets import V5, V311, Publish


@pytest.fixture
def publisher(connect):
    return connect()


def retained(client, topic_filter, qos=2):
    """Subscribes and returns the one retained message that comes."""
    client.subscribe(topic_filter, qos=qos)
    packet = client.receive_publish()
    assert packet.retain
    return packet


def test_new_subscription_gets_the_message(connect, unique, publisher, version):
    """M3 M7 [MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-8] RETAIN is 1."""
    publisher.publish(unique, b"kept", qos=1, retain=True)
    client = connect(version=version)
    packet = retained(client, unique)
    assert (packet.topic, packet.payload, packet.qos, packet.dup) == (unique, b"kept", 1, False)
    client.quiet(publisher)


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_qos_of_a_retained_message(connect, unique, publisher, published, granted):
    """[MQTT-3.8.4-8] [MQTT3-3.3.1-5] the message keeps its QoS, deliveries the lower of both."""
    publisher.publish(unique, b"m", qos=published, retain=True)
    publisher.ping()
    client = connect()
    client.subscribe(unique, qos=granted)
    if published == 0:
        # nothing acknowledged the message: it may arrive before the subscription or after it
        packet = client.receive_publish()
        assert packet.qos == 0
    else:
        packet = client.receive_publish()
        assert (packet.qos, packet.retain) == (min(published, granted), True)


def test_established_subscription_sees_retain_0(connect, unique, publisher, version):
    """M7 [MQTT3-3.3.1-9] [MQTT-3.3.1-12]"""
    client = connect(version=version)
    client.subscribe(unique, qos=1)
    publisher.publish(unique, b"live", qos=1, retain=True)
    packet = client.receive_publish()
    assert (packet.payload, packet.retain) == (b"live", False)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_last_one_counts(connect, unique, publisher, qos):
    """M3 [MQTT-3.3.1-5] [MQTT3-3.3.1-7] a later message replaces the earlier one, QoS 0 as well."""
    watcher = connect()
    watcher.subscribe(unique)
    publisher.publish(unique, b"old", qos=1, retain=True)
    publisher.publish(unique, b"new", qos=qos, retain=True)
    publisher.publish(unique + "/after", b"", qos=1, retain=True)
    assert watcher.payloads(2) == [b"old", b"new"]
    client = connect()
    packet = retained(client, unique)
    assert packet.payload == b"new"
    client.quiet(publisher)


def test_empty_payload_deletes(connect, unique, publisher, current):
    """M3 [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]"""
    publisher.publish(unique + "/a", b"gone", qos=1, retain=True)
    publisher.publish(unique + "/b", b"stays", qos=1, retain=True)
    watcher = connect(version=current)
    watcher.subscribe(unique + "/a", qos=1)
    assert watcher.receive_publish().payload == b"gone"
    connect(version=current).publish(unique + "/a", b"", qos=1, retain=True)
    # processed normally otherwise: subscribers see the empty message
    assert watcher.receive_publish().payload == b""
    client = connect(version=current)
    assert retained(client, unique + "/+").payload == b"stays"
    client.quiet(publisher)


def test_deleting_what_is_not_there(connect, unique, publisher):
    """[MQTT-3.3.1-7] [MQTT3-3.3.1-11]"""
    publisher.publish(unique, b"", qos=1, retain=True)
    client = connect()
    client.subscribe(unique)
    client.quiet(publisher)


def test_retain_0_neither_stores_nor_replaces(connect, unique, publisher, current):
    """[MQTT-3.3.1-8] [MQTT3-3.3.1-12]"""
    publisher.publish(unique + "/stored", b"kept", qos=1, retain=True)
    other = connect(version=current)
    other.publish(unique + "/stored", b"passing", qos=1)
    other.publish(unique + "/stored", b"", qos=1)
    other.publish(unique + "/not", b"passing", qos=1)
    client = connect(version=current)
    assert retained(client, unique + "/#").payload == b"kept"
    client.quiet(publisher)


@pytest.mark.parametrize(
    ("topic_filter", "matching"),
    [
        ("/#", ["", "/a", "/a/b", "/a/b/c", "/x/b"]),
        ("/+", ["/a"]),
        ("/+/b", ["/a/b", "/x/b"]),
        ("/a/#", ["/a", "/a/b", "/a/b/c"]),
        ("/a/+/c", ["/a/b/c"]),
        ("/x/b", ["/x/b"]),
        ("/nothing/#", []),
    ],
)
def test_wildcard_filters(connect, unique, publisher, topic_filter, matching):
    """M2 M5 [MQTT-3.3.1-9] [MQTT3-3.3.1-6] every retained message that matches, once."""
    for suffix in ["", "/a", "/a/b", "/a/b/c", "/x/b"]:
        publisher.publish(unique + suffix, suffix.encode() + b"!", qos=1, retain=True)
    client = connect()
    client.subscribe(unique + topic_filter, qos=1)
    got = [client.receive_publish() for _ in matching]
    assert sorted(each.topic for each in got) == sorted(unique + each for each in matching)
    assert all(each.retain for each in got)
    client.quiet(publisher)


def test_subscribing_again_sends_again(connect, unique, publisher, current):
    """[MQTT-3.8.4-4] [MQTT3-3.8.4-3]"""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect(version=current)
    for _ in range(3):
        assert retained(client, unique).payload == b"m"


def test_each_filter_of_one_subscribe(connect, unique, publisher, current):
    """[MQTT-3.8.4-5] [MQTT3-3.8.4-4] as if each filter had come in a packet of its own."""
    publisher.publish(unique + "/a", b"m", qos=1, retain=True)
    client = connect(version=current)
    client.subscribe(unique + "/a", unique + "/+", qos=1)
    assert [client.receive_publish().topic for _ in range(2)] == [unique + "/a"] * 2
    client.quiet(publisher)


def test_dollar_topics_are_not_matched_by_wildcards(connect, unique, publisher):
    """M3 [MQTT-4.7.2-1] [MQTT3-4.7.2-1] retained on `$` topics is allowed."""
    publisher.publish("$" + unique + "/a", b"m", qos=1, retain=True)
    client = connect()
    client.subscribe("+/a")
    client.inbox.clear()
    client.subscribe("$" + unique + "/+")
    packet = client.wait_for(lambda each: isinstance(each, Publish) and unique in each.topic)
    assert (packet.topic, packet.retain) == ("$" + unique + "/a", True)
    assert not [each for each in client.inbox if unique in getattr(each, "topic", "")]


def test_properties_are_retained(connect, unique, publisher):
    """[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-17]"""
    given = {
        "content_type": "text/plain",
        "response_topic": "r",
        "correlation_data": b"c",
        "user_property": [("k", "v")],
    }
    publisher.publish(unique, b"m", qos=1, retain=True, properties=given)
    assert retained(connect(), unique).properties == given


def test_retained_reaches_every_version(connect, unique, version):
    connect(version=version).publish(unique, b"m", qos=1, retain=True)
    for each in (V311, V5):
        assert retained(connect(version=each), unique).payload == b"m"


def test_visible_to_everybody_after_puback(connect, unique, publisher):
    """M3: once PUBACK has come, a subscription by any client gets it, wherever both live."""
    for number in range(20):
        topic = f"{unique}/{number}"
        publisher.publish(topic, b"m", qos=1, retain=True)
        assert retained(connect(), topic).payload == b"m"


def test_message_after_suback_is_no_retained_message(connect, unique, publisher):
    """M7 [MQTT-3.3.1-9] what is published after SUBACK comes once, as a live message, exactly once at QoS 2."""
    client = connect()
    for number in range(100):
        topic = f"{unique}/{number}"
        client.subscribe(topic, qos=2)
        publisher.publish(topic, b"live", qos=2, retain=True)
        packet = client.receive_publish()
        assert (packet.topic, packet.retain) == (topic, False)
    client.quiet(publisher)


@pytest.mark.ringmq_only("a message too large to retain")
def test_payload_over_the_retain_limit_is_routed_only(connect, unique, broker_with):
    """M4"""
    to = broker_with("retainer.max_payload_size=1KB")
    publisher, watcher = connect(to=to), connect(to=to)
    watcher.subscribe(unique, qos=1)
    publisher.publish(unique, b"x" * 2000, qos=1, retain=True)
    assert len(watcher.receive_publish().payload) == 2000
    client = connect(to=to)
    client.subscribe(unique, qos=1)
    client.quiet(publisher)
