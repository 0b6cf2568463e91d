"""Exclusive subscriptions (M12): a topic of one session alone, with any placement of topics and clients on shards."""

import pytest

from packets import V5, V311, Filter, Publish, Suback, Subscribe

QUOTA_EXCEEDED, FILTER_INVALID, NO_SUBSCRIPTION = 0x97, 0x8F, 0x11


@pytest.fixture
def to(broker_with):
    return broker_with("mqtt.exclusive_subscription=true")


@pytest.fixture
def pairs(connect, to, unique):
    """Clients and topics in such numbers that owner, rival and topic lie on all combinations of a few shards."""
    return [(connect(to=to), connect(to=to), f"{unique}/{number}") for number in range(8)]


def test_the_second_one_is_refused(pairs):
    """M12: SUBACK 0x97; the owner may subscribe again."""
    for owner, rival, topic in pairs:
        owner.subscribe(f"$exclusive/{topic}", qos=1)
        rival.subscribe(f"$exclusive/{topic}", qos=1, granted=[QUOTA_EXCEEDED])
        owner.subscribe(f"$exclusive/{topic}", qos=2)


def test_before_mqtt_5(connect, to, unique):
    """M12 P5: SUBACK 0x80."""
    connect(version=V5, to=to).subscribe(f"$exclusive/{unique}")
    connect(version=V311, to=to).subscribe(f"$exclusive/{unique}", qos=1, granted=[0x80])


def test_messages_come_under_the_bare_topic(connect, to, pairs):
    """M12: to the owner and to plain subscribers, not to whom it was refused."""
    publisher, plain = connect(to=to), connect(to=to)
    for owner, rival, topic in pairs:
        owner.subscribe(f"$exclusive/{topic}", qos=1)
        rival.subscribe(f"$exclusive/{topic}", qos=1, granted=[QUOTA_EXCEEDED])
        plain.subscribe(topic, qos=1)
        publisher.publish(topic, b"m", qos=1)
        for client in (owner, plain):
            got = client.receive_publish()
            assert (got.topic, got.payload) == (topic, b"m")
        rival.quiet(publisher)


def test_retained_messages_come_with_the_grant(connect, to, pairs):
    """M12 M7"""
    publisher = connect(to=to)
    for owner, rival, topic in pairs:
        publisher.publish(topic, b"kept", qos=1, retain=True)
        owner.subscribe(f"$exclusive/{topic}", qos=1)
        rival.subscribe(f"$exclusive/{topic}", qos=1, granted=[QUOTA_EXCEEDED])
        got = owner.receive_publish()
        assert (got.topic, got.payload, got.retain) == (topic, b"kept", True)
        rival.ping()
        publisher.publish(topic, b"", qos=1, retain=True)


def test_free_after_unsubscribe(pairs):
    """M12: once the UNSUBACK is there, somebody else can have it."""
    for owner, rival, topic in pairs:
        name = f"$exclusive/{topic}"
        owner.subscribe(name)
        assert rival.unsubscribe(name).reasons == [NO_SUBSCRIPTION]
        rival.subscribe(name, granted=[QUOTA_EXCEEDED])
        assert owner.unsubscribe(name).reasons == [0]
        rival.subscribe(name)
        owner.subscribe(name, granted=[QUOTA_EXCEEDED])


def test_free_after_the_session(connect, to, pairs):
    """M12: kept while the session is, and free after it."""
    for number, (_, rival, topic) in enumerate(pairs):
        name, client_id = f"$exclusive/{topic}", f"{topic.replace('/', '-')}x{number}"
        connect(client_id, to=to, session=60).subscribe(name)
        connect(client_id, to=to, session=60, resume=True).drop()
        rival.subscribe(name, granted=[QUOTA_EXCEEDED])
        connect(client_id, to=to)  # a clean start ends the session
        while rival_code(rival, name) != 0:
            pass


def rival_code(client, name):
    """SUBACK's code: the end of a session promises nothing about other shards until they have heard of it."""
    packet_id = client.packet_id()
    client.send(Subscribe(packet_id, [Filter(name, 0)]))
    return client.wait_for(lambda each: isinstance(each, Suback)).reasons[0]


@pytest.mark.parametrize("topic_filter", ["{}/+", "{}/#", "$share/g/{}", ""])
def test_only_plain_topics(connect, to, unique, topic_filter):
    """M12: 0x8F; other filters of the packet are granted."""
    client = connect(to=to)
    client.subscribe("$exclusive/" + topic_filter.format(unique), unique, granted=[FILTER_INVALID, 0])


def test_turned_off(connect, unique):
    """M12: 0x8F by default."""
    connect().subscribe(f"$exclusive/{unique}", unique, granted=[FILTER_INVALID, 0])


def test_publishing_under_the_prefix_is_nothing_special(connect, to, unique):
    """M12: the prefix is one of filters."""
    owner, publisher = connect(to=to), connect(to=to)
    owner.subscribe(f"$exclusive/{unique}")
    publisher.send(Publish(f"$exclusive/{unique}", b"m", 0))
    owner.quiet(publisher)
