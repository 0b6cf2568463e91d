"""Topic filters: which topics they match, and which filters are none."""

import pytest

from packets import V5, Filter, Suback, Subscribe
from wire_client import ConnectionClosed

FILTER_INVALID = 0x8F

# The table of 4.7.1 and its neighbours: filter, topics that match, topics that do not.
MATCHING = [
    (
        "sport/tennis/player1/#",
        ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/w"],
        ["sport/tennis/player2"],
    ),
    ("sport/#", ["sport", "sport/", "sport/a/b/c"], ["sports", "sporty/a"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]),
    ("sport/+", ["sport/", "sport/a"], ["sport", "sport/a/b"]),
    ("+/+", ["/finance", "a/b", "/"], ["a", "a/b/c"]),
    ("/+", ["/finance", "/"], ["finance", "//"]),
    ("+", ["finance"], ["/finance"]),
    ("+/tennis/#", ["a/tennis", "/tennis/x", "b/tennis/c/d"], ["tennis", "a/b/tennis"]),
    ("a/+/c", ["a/b/c", "a//c"], ["a/b/c/d", "a/b", "a/b/cc"]),
    ("+/b/+/d", ["a/b/c/d", "/b//d"], ["a/b/d", "a/c/b/d"]),
    ("/", ["/"], ["", "//", "a"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("//", ["//"], ["/", "///"]),
    ("a b/ç/\U0001f980", ["a b/ç/\U0001f980"], ["a b/c/\U0001f980"]),
]


@pytest.mark.parametrize(("topic_filter", "matching", "other"), MATCHING, ids=[each[0] for each in MATCHING])
def test_matching(connect, unique, topic_filter, matching, other):
    """M2 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.3.2-3] [MQTT-4.7.3-4] [MQTT3-4.7.1-1] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]
    [MQTT3-3.3.2-3] [MQTT3-3.8.3-2] below a level of the test's own."""
    client, publisher = connect(), connect()
    client.subscribe(f"{unique}/{topic_filter}")
    for topic in other + matching:
        publisher.publish(f"{unique}/{topic}", b"m")
    assert [client.receive_publish().topic for _ in matching] == [f"{unique}/{topic}" for topic in matching]
    client.quiet(publisher)


@pytest.mark.parametrize("topic_filter", ["#", "+/{}/#", "+/{}/a", "+/{}/+"])
def test_dollar_topics(connect, unique, current, topic_filter):
    """P21 [MQTT-4.7.2-1] [MQTT3-4.7.2-1] not matched by a filter that starts with a wildcard."""
    client, publisher = connect(version=current), connect()
    client.subscribe(topic_filter.format(unique))
    publisher.publish(f"$priv/{unique}/a", b"hidden")
    publisher.publish(f"priv/{unique}/a", b"seen")
    seen = client.wait_for(lambda each: unique in getattr(each, "topic", ""))
    assert (seen.topic, seen.payload) == (f"priv/{unique}/a", b"seen")


@pytest.mark.parametrize("topic_filter", ["$priv/{}/a", "$priv/{}/+", "$priv/{}/#", "$priv/+/a"])
def test_dollar_filters(connect, unique, topic_filter):
    """[MQTT-4.7.2-1] a filter that begins with the `$` level matches."""
    client, publisher = connect(), connect()
    client.subscribe(topic_filter.format(unique))
    publisher.publish(f"$priv/{unique}/a", b"m")
    assert client.wait_for(lambda each: unique in getattr(each, "topic", "")).payload == b"m"


def test_dollar_inside_a_level_is_nothing_special(connect, unique):
    """[MQTT-4.7.2-1]"""
    client, publisher = connect(), connect()
    client.subscribe(f"+/{unique}")
    publisher.publish(f"a$/{unique}", b"m")
    assert client.receive_publish().topic == f"a$/{unique}"


INVALID = ["a/#/b", "a#", "a/b#", "#/a", "a+", "+a/b", "a/+b", "a/b+/c", "##", "++", ""]


@pytest.mark.parametrize("topic_filter", INVALID)
def test_invalid_filters(connect, current, topic_filter):
    """[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT3-4.7.1-1] [MQTT3-4.7.1-2] [MQTT3-4.7.0-1]
    refused in SUBACK (0x8F, 0x80) or by the end of the connection."""
    client = connect(version=current)
    client.send(Subscribe(1, [Filter(topic_filter, 1)]))
    try:
        packet = client.receive()
    except ConnectionClosed:
        return
    if isinstance(packet, Suback):
        assert packet.reasons == [FILTER_INVALID if current == V5 else 0x80]
        client.ping()
    else:
        assert packet.reason in (0x81, 0x82, FILTER_INVALID)
        client.expect_closed()


@pytest.mark.ringmq_only("mosquitto allows 200 levels")
def test_levels_up_to_the_configured_number(connect, unique, current):
    """P21: `mqtt.max_topic_levels` is 128."""
    client, publisher = connect(version=current), connect()
    topic = unique + "/a" * 127
    client.subscribe(topic, qos=1)
    publisher.publish(topic, b"m", qos=1)
    assert client.receive_publish().topic == topic


@pytest.mark.ringmq_only("mosquitto allows 200 levels")
def test_levels_over_the_configured_number(connect, unique, current):
    """P21: refused, as a filter or as a name."""
    topic = unique + "/a" * 128
    client = connect(version=current)
    client.send(Subscribe(1, [Filter(topic, 1)]))
    try:
        packet = client.receive()
        reasons = packet.reasons if isinstance(packet, Suback) else [packet.reason]
        assert reasons[0] >= 0x80
    except ConnectionClosed:
        pass


def test_many_filters_of_many_clients(connect, unique):
    """M2: each client receives what its filters match, no more."""
    topics = [f"{unique}/{a}/{b}/{c}" for a in "xy" for b in "xy" for c in "xy"]
    filters = [f"{unique}/{a}/{b}/{c}" for a in "x+" for b in "y+" for c in ("x", "+", "#")]
    clients = [connect() for _ in filters]
    for client, topic_filter in zip(clients, filters, strict=True):
        client.subscribe(topic_filter)
    publisher = connect()
    for topic in topics:
        publisher.publish(topic, b"m")

    def matches(topic: str, topic_filter: str) -> bool:
        return all(
            want in ("#", "+", have) for have, want in zip(topic.split("/"), topic_filter.split("/"), strict=True)
        )

    for client, topic_filter in zip(clients, filters, strict=True):
        expected = [topic for topic in topics if matches(topic, topic_filter)]
        assert [client.receive_publish().topic for _ in expected] == expected
        client.quiet(publisher)
