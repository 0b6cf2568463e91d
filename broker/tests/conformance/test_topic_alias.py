"""Topic aliases in both directions (P10). Wrong aliases: `test_malformed.py`."""

import pytest

from packets import Publish

ALIAS_INVALID, PROTOCOL_ERROR = 0x94, 0x82


@pytest.fixture
def watcher(connect, unique):
    client = connect()
    client.subscribe(unique + "/#", qos=2)
    return client


def test_alias_to_the_server(connect, unique, watcher):
    """[MQTT-3.3.2-12] set with the first PUBLISH, used with an empty topic."""
    client = connect()
    client.publish(unique + "/a", b"1", properties={"topic_alias": 3})
    client.publish("", b"2", qos=1, properties={"topic_alias": 3})
    client.publish("", b"3", qos=2, properties={"topic_alias": 3})
    got = [watcher.receive_publish() for _ in range(3)]
    assert [(each.topic, each.payload) for each in got] == [(unique + "/a", b"%d" % number) for number in (1, 2, 3)]
    assert not any("topic_alias" in each.properties for each in got)


def test_alias_is_set_anew(connect, unique, watcher):
    """3.3.2.3.4: a later PUBLISH with a topic changes the mapping."""
    client = connect()
    for suffix in ("/a", "/b"):
        client.publish(unique + suffix, b"set", properties={"topic_alias": 1})
        client.publish("", b"use", properties={"topic_alias": 1})
    assert [watcher.receive_publish().topic for _ in range(4)] == [unique + each for each in ("/a", "/a", "/b", "/b")]


def test_every_allowed_alias(connect, unique, watcher):
    """[MQTT-3.3.2-12] 1 to the maximum the Server announced."""
    client = connect()
    maximum = client.connack.properties["topic_alias_maximum"]
    for alias in (1, 2, maximum // 2, maximum):
        client.publish(f"{unique}/{alias}", b"set", properties={"topic_alias": alias})
    for alias in (maximum, maximum // 2, 2, 1):
        client.publish("", b"use", properties={"topic_alias": alias})
    expected = [f"{unique}/{alias}" for alias in (1, 2, maximum // 2, maximum, maximum, maximum // 2, 2, 1)]
    assert [watcher.receive_publish().topic for _ in expected] == expected


def test_alias_over_the_maximum(connect, unique, broker_with):
    """[MQTT-3.3.2-9] [MQTT-3.2.2-17] P10: DISCONNECT 0x94."""
    client = connect(to=broker_with("mqtt.max_topic_alias=4"))
    assert client.connack.properties["topic_alias_maximum"] == 4
    client.publish(unique, b"m", properties={"topic_alias": 4})
    client.ping()
    client.send(Publish(unique, b"m", properties={"topic_alias": 5}))
    client.expect_disconnect(ALIAS_INVALID)


def test_no_alias_when_none_is_allowed(connect, unique, broker_with):
    """[MQTT-3.2.2-18] 3.2.2.3.8: absent means 0."""
    client = connect(to=broker_with("mqtt.max_topic_alias=0"))
    assert client.connack.properties.get("topic_alias_maximum", 0) == 0
    client.send(Publish(unique, b"m", properties={"topic_alias": 1}))
    client.expect_disconnect(ALIAS_INVALID)


def test_aliases_end_with_the_connection(connect, unique):
    """[MQTT-3.3.2-7]"""
    client = connect(unique, session=60)
    client.publish(unique, b"m", properties={"topic_alias": 1})
    client.ping()
    client.drop()
    client = connect(unique, session=60, resume=True)
    client.send(Publish("", b"m", properties={"topic_alias": 1}))
    client.expect_disconnect(ALIAS_INVALID, PROTOCOL_ERROR)


def test_aliases_of_clients_are_separate(connect, unique, watcher):
    """3.3.2.3.4: mappings belong to one connection and one direction."""
    first, second = connect(), connect()
    first.publish(unique + "/1", b"", properties={"topic_alias": 1})
    second.publish(unique + "/2", b"", properties={"topic_alias": 1})
    first.publish("", b"first", properties={"topic_alias": 1})
    second.publish("", b"second", properties={"topic_alias": 1})
    got = {packet.topic: packet.payload for packet in (watcher.receive_publish() for _ in range(4)) if packet.payload}
    assert got == {unique + "/1": b"first", unique + "/2": b"second"}


@pytest.mark.parametrize("maximum", [0, 1, 3, 65535])
def test_aliases_to_the_client(connect, unique, maximum):
    """[MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-8] [MQTT-3.3.2-11] the client checks each alias and resolves it."""
    client, publisher = connect(properties={"topic_alias_maximum": maximum}), connect()
    client.subscribe(unique + "/#")
    topics = [f"{unique}/{number}" for number in range(5)] * 3
    for topic in topics:
        publisher.publish(topic, topic.encode())
    for topic in topics:
        packet = client.receive_publish()
        assert (packet.topic, packet.payload) == (topic, topic.encode())
        assert maximum or "topic_alias" not in packet.properties


@pytest.mark.ringmq_only("mosquitto sends no aliases")
def test_server_uses_aliases(connect, unique):
    """P10: assigned until the client's maximum is reached."""
    client, publisher = connect(properties={"topic_alias_maximum": 2}), connect()
    client.subscribe(unique + "/#")
    for suffix in ("/a", "/b", "/c", "/a", "/b", "/c"):
        publisher.publish(unique + suffix, b"m")
    aliases = [client.receive_publish().properties.get("topic_alias") for _ in range(6)]
    assert aliases[0] == aliases[3] and aliases[1] == aliases[4]
    assert set(aliases[:2]) == {1, 2}
    assert aliases[2] is None and aliases[5] is None


def test_aliases_to_the_client_end_with_the_connection(connect, unique):
    """[MQTT-3.3.2-7] the client forgets its table at a reconnection and checks each alias."""
    publisher = connect()
    asked = {"topic_alias_maximum": 5}
    client = connect(unique, session=60, properties=asked)
    client.subscribe(unique, qos=1)
    for _ in range(2):
        publisher.publish(unique, b"m", qos=1)
        client.receive_publish()
    client.drop()
    client = connect(unique, session=60, resume=True, properties=asked)
    publisher.publish(unique, b"m", qos=1)
    assert client.receive_publish().topic == unique


def test_queued_messages_with_aliases(connect, unique):
    """[MQTT-3.3.2-7] messages queued while offline get aliases of the new connection."""
    publisher = connect()
    client = connect(unique, session=60, properties={"topic_alias_maximum": 5})
    client.subscribe(unique + "/#", qos=1)
    publisher.publish(unique + "/1", b"m", qos=1)
    client.receive_publish(acknowledge=False)
    client.drop()
    publisher.publish(unique + "/1", b"m", qos=1)
    client = connect(unique, session=60, resume=True, properties={"topic_alias_maximum": 1})
    assert [client.receive_publish().topic for _ in range(2)] == [unique + "/1"] * 2
