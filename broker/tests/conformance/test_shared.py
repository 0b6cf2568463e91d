"""Shared subscriptions (M9, M11): groups, one copy a group, granted QoS, redispatch.

Absent: the strategies (`test_shared_strategies.py`).
"""

from collections import Counter

import pytest

from packets import PUBREC, PUBREL, V5, V311, Ack, Filter, Publish, Suback, Subscribe
from wire_client import ConnectionClosed, Overdue, collect


@pytest.fixture
def publisher(connect):
    return connect()


@pytest.mark.parametrize("version", [V311, V5], ids=["v3.1.1", "v5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_goes_to_one_member(connect, unique, publisher, version, qos):
    """M9 [MQTT-4.8.2-1] [MQTT-4.8.2-2]"""
    members = [connect(version=version) for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/group/{unique}/+", qos=qos)
    for number in range(30):
        publisher.publish(f"{unique}/{number}", b"%d" % number, qos=qos)
    got = collect(members, 30)
    assert Counter(payload for each in got for payload in each) == Counter(b"%d" % number for number in range(30))
    for member in members:
        member.quiet(publisher)


def test_distribution_by_default(connect, unique, publisher):
    """M10: every member takes its share."""
    members = [connect() for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/group/{unique}", qos=1)
    for number in range(60):
        publisher.publish(unique, b"%d" % number, qos=1)
    assert all(len(each) >= 5 for each in collect(members, 60))


def test_a_copy_for_each_group_and_each_plain_subscription(connect, unique, publisher):
    """M9 4.8.2"""
    clients = [connect() for _ in range(4)]
    for client, topic_filter in zip(clients, ["$share/a/{}", "$share/b/{}", "{}", "$share/a/x/{}"], strict=True):
        client.subscribe(topic_filter.format(unique), qos=1)
    publisher.publish(unique, b"m", qos=1)
    for client in clients[:3]:
        assert client.payloads(1) == [b"m"]
    for client in clients:
        client.quiet(publisher)


@pytest.mark.ringmq_only("EMQX's way of several deliveries; mosquitto sends one")
def test_shared_and_plain_of_one_client(connect, unique, publisher):
    """P8 M9: two subscriptions, two deliveries, each with its identifier."""
    client = connect()
    client.subscribe(f"$share/g/{unique}", qos=1, properties={"subscription_identifier": 1})
    client.subscribe(unique, qos=1, properties={"subscription_identifier": 2})
    publisher.publish(unique, b"m", qos=1)
    got = [client.receive_publish().properties["subscription_identifier"] for _ in range(2)]
    assert sorted(got) == [[1], [2]]


@pytest.mark.ringmq_only("$queue")
def test_queue_is_a_group(connect, unique, publisher):
    """M9: `$queue/<filter>` is a group of its own."""
    members, other = [connect() for _ in range(2)], connect()
    for member in members:
        member.subscribe(f"$queue/{unique}", qos=1)
    other.subscribe(f"$share/g/{unique}", qos=1)
    for number in range(20):
        publisher.publish(unique, b"%d" % number, qos=1)
    collect(members, 20)
    assert other.payloads(20) == [b"%d" % number for number in range(20)]
    for each in [*members, other]:
        each.quiet(publisher)


def test_granted_qos_of_each_member(connect, unique, publisher):
    """[MQTT-4.8.2-3]"""
    for granted in (0, 1, 2):
        member = connect()
        member.subscribe(f"$share/g/{unique}", qos=granted)
        publisher.publish(unique, b"m", qos=2)
        assert member.receive_publish().qos == granted
        member.unsubscribe(f"$share/g/{unique}")


def test_no_retained_messages(connect, unique, publisher):
    """M7 4.8.2: a shared subscription gets no retained messages, live ones do come."""
    publisher.publish(unique, b"kept", qos=1, retain=True)
    member = connect()
    member.subscribe(Filter(f"$share/g/{unique}", 1, retain_handling=0))
    member.quiet(publisher)
    publisher.publish(unique, b"live", qos=1)
    assert member.payloads(1) == [b"live"]


def test_unsubscribe(connect, unique, publisher):
    """[MQTT-3.10.4-1] the filter is compared with its group; the others go on."""
    leaving, staying = connect(), connect()
    for member in (leaving, staying):
        member.subscribe(f"$share/g/{unique}", qos=1)
    assert leaving.unsubscribe(unique, f"$share/h/{unique}", f"$share/g/{unique}").reasons == [0x11, 0x11, 0]
    for number in range(10):
        publisher.publish(unique, b"%d" % number, qos=1)
    assert staying.payloads(10) == [b"%d" % number for number in range(10)]
    leaving.quiet(publisher)


def test_last_member_leaves(connect, unique, publisher):
    """P6 M11: nobody left means no matching subscriber."""
    member = connect()
    member.subscribe(f"$share/g/{unique}", qos=1)
    assert publisher.publish(unique, b"m", qos=1).reason == 0
    assert member.payloads(1) == [b"m"]
    member.unsubscribe(f"$share/g/{unique}")
    publisher.publish_until_unmatched(unique)
    member.quiet(publisher)


def test_closed_member_gets_nothing_more(connect, unique, publisher):
    """M11: a member without a session is gone with its connection."""
    leaving, staying = connect(), connect()
    for member in (leaving, staying):
        member.subscribe(f"$share/g/{unique}", qos=1)
    leaving.goodbye()
    for number in range(10):
        publisher.publish(unique, b"%d" % number, qos=1)
    assert staying.payloads(10) == [b"%d" % number for number in range(10)]


def test_unacknowledged_qos1_is_given_to_another(connect, unique, publisher):
    """M11 4.8.2: the session of the chosen member ends before it has acknowledged."""
    members = [connect() for _ in range(2)]
    for member in members:
        member.subscribe(f"$share/g/{unique}", qos=1)
    for number in range(10):
        publisher.publish(unique, b"%d" % number, qos=1)
    first, second = members
    count = 0
    try:
        while True:
            first.receive_publish(0.2, acknowledge=False)
            count += 1
    except Overdue:
        pass
    assert 0 < count < 10
    own = second.payloads(10 - count)
    first.drop()
    assert sorted(own + second.payloads(count)) == [b"%d" % number for number in range(10)]


def test_qos2_in_delivery_is_given_to_nobody_else(connect, unique, publisher):
    """[MQTT-4.8.2-5]"""
    first = connect()
    first.subscribe(f"$share/g/{unique}", qos=2)
    publisher.publish(unique, b"m", qos=2)
    packet = first.receive_publish(acknowledge=False)
    second = connect()
    second.subscribe(f"$share/g/{unique}", qos=2)
    first.send(Ack(PUBREC, packet.packet_id))
    first.expect_ack(PUBREL, packet.packet_id)
    first.goodbye()
    second.quiet(publisher)


def test_qos2_is_completed_after_a_reconnection(connect, unique, publisher):
    """[MQTT-4.8.2-4]"""
    first, second = connect(unique, session=60), connect()
    first.subscribe(f"$share/g/{unique}", qos=2)
    publisher.publish(unique, b"m", qos=2)
    packet = first.receive_publish(acknowledge=False)
    second.subscribe(f"$share/g/{unique}", qos=2)
    first.drop()
    second.quiet(publisher)
    first = connect(unique, session=60, resume=True)
    again = first.receive_publish()
    assert (again.packet_id, again.payload, again.dup) == (packet.packet_id, b"m", True)
    second.quiet(publisher)


@pytest.mark.parametrize("qos", [1, 2])
def test_refused_message_is_given_to_nobody_else(connect, unique, publisher, qos):
    """[MQTT-4.8.2-6]"""
    first = connect()
    first.subscribe(f"$share/g/{unique}", qos=qos)
    publisher.publish(unique, b"m", qos=qos)
    packet = first.receive_publish(acknowledge=False)
    second = connect()
    second.subscribe(f"$share/g/{unique}", qos=qos)
    first.acknowledge(packet, 0x97)
    first.ping()
    second.quiet(publisher)


def test_only_member_offline(connect, unique, publisher):
    """M9 Q11: a member with a session is a member while it is away."""
    member = connect(unique, session=60)
    member.subscribe(f"$share/g/{unique}", qos=1)
    member.goodbye()
    publisher.publish(unique, b"m", qos=1)
    assert connect(unique, session=60, resume=True).payloads(1) == [b"m"]


INVALID = [
    "$share/g",
    "$share/g/",
    "$share//t",
    "$share/g+/t",
    "$share/+/t",
    "$share/#/t",
    "$share/g#/t",
    "$share/g/a#",
    "$share/",
]


@pytest.mark.parametrize("topic_filter", INVALID)
def test_invalid_shared_filters(connect, topic_filter, current):
    """[MQTT-4.8.2-1] [MQTT-4.8.2-2] refused in SUBACK or by the end of the connection."""
    client = connect(version=current)
    client.send(Subscribe(1, [Filter(topic_filter, 1)]))
    try:
        packet = client.receive()
    except ConnectionClosed:
        return
    reasons = packet.reasons if isinstance(packet, Suback) else [packet.reason]
    assert reasons[0] in (0x80, 0x81, 0x82, 0x8F)


def test_wildcards_in_a_shared_filter(connect, unique, publisher):
    """[MQTT-4.8.2-2] the filter after the group is any filter."""
    member = connect()
    member.subscribe(f"$share/g/{unique}/+/#", qos=1)
    for suffix in ("/a", "/a/b/c", "//"):
        publisher.publish(unique + suffix, b"m", qos=1)
        assert member.receive_publish().topic == unique + suffix
    publisher.publish(unique, b"m", qos=1)
    member.quiet(publisher)


def test_same_group_different_filters(connect, unique, publisher):
    """4.8.2: a Shared Subscription is named by the group together with the filter."""
    first, second = connect(), connect()
    first.subscribe(f"$share/g/{unique}/a", qos=1)
    second.subscribe(f"$share/g/{unique}/+", qos=1)
    publisher.publish(unique + "/a", b"m", qos=1)
    assert first.payloads(1) == [b"m"]
    assert second.payloads(1) == [b"m"]


def test_own_messages_are_delivered(connect, unique):
    """3.8.3.1: No Local does not exist for shared subscriptions."""
    member = connect()
    member.subscribe(f"$share/g/{unique}", qos=1)
    member.send(Publish(unique, b"m", 1, packet_id=7))
    member.wait_for(lambda each: isinstance(each, Ack))
    assert member.payloads(1) == [b"m"]


def test_take_over_of_a_member(connect, unique, publisher):
    """P23 M9: the membership moves with the session."""
    connect(unique, session=60).subscribe(f"$share/g/{unique}", qos=1)
    member = connect(unique, session=60, resume=True)
    publisher.publish(unique, b"m", qos=1)
    assert member.payloads(1) == [b"m"]
    member.quiet(publisher)
