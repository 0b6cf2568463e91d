"""Settings of sessions and messages that a client sees: Q5, Q7, P20, P24, and limits of packets, with paho."""

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

QUOTA_EXCEEDED, TAKEN_OVER = 0x97, 0x8E


def absent(dial, broker, version, topic):
    """A client that has subscribed and gone, with a session that stays."""
    client = dial(broker, "absent", clean=False, version=version)
    client.subscribe(topic, 1)
    client.end()


@pytest.mark.parametrize(("default", "order"), [("lowest", [b"2", b"1", b"0"]), ("highest", [b"0", b"2", b"1"])])
def test_priorities_and_what_has_none(operate, dial, both, default, order):
    """Q5: topics that are not listed come last, or first."""
    settings = f'mqtt {{ mqueue_priorities {{ "p/1" = 1, "p/2" = 2 }}, mqueue_default_priority = {default} }}\n'
    broker = operate(settings, shards=1)
    absent(dial, broker, both, "p/#")
    publisher = dial(broker, version=both)
    for number in range(3):
        publisher.publish(f"p/{number}", b"%d" % number, 1)
    back = dial(broker, "absent", clean=False, version=both)
    assert back.payloads(3) == order


def test_each_priority_has_a_queue_of_its_own_length(operate, dial):
    """Q3 Q5: a full queue of one priority costs no message of another."""
    settings = 'mqtt { mqueue_priorities { "p/high" = 9 }, max_mqueue_len = 2 }\n'
    broker = operate(settings, shards=1)
    absent(dial, broker, paho.MQTTv5, "p/#")
    publisher = dial(broker)
    publisher.publish("p/high", b"h", 1)
    for number in range(5):
        publisher.publish("p/low", b"%d" % number, 1)
    shown = broker.ask("clients", "show", "absent")
    assert (shown["mqueue_len"], shown["send_msg.dropped.queue_full"]) == (3, 3)
    back = dial(broker, "absent", clean=False)
    assert back.payloads(3) == [b"h", b"3", b"4"]


@pytest.mark.parametrize("upgrade", [False, True])
def test_the_higher_quality_of_service(operate, dial, both, upgrade):
    """P24: `mqtt.upgrade_qos` delivers at the higher of both, live and retained."""
    broker = operate(f"mqtt.upgrade_qos = {str(upgrade).lower()}\n")
    client, publisher = dial(broker, version=both), dial(broker, version=both)
    publisher.publish("kept", b"m", 1, True)
    for granted in (0, 1, 2):
        client.subscribe("t", granted)
        for published in (0, 1, 2):
            publisher.publish("t", b"m", published)
            expected = max(granted, published) if upgrade else min(granted, published)
            assert client.receive().qos == expected, (granted, published)
    client.subscribe("kept", 2)
    assert client.receive().qos == (2 if upgrade else 1)


def test_a_user_name_in_the_place_of_the_identifier(operate, dial, both):
    """P20: two clients with one user name are one client; a client without one keeps its own."""
    broker = operate("mqtt.use_username_as_clientid = true\n")
    first = dial(broker, "a", username="ann", version=both)
    plain = dial(broker, "b", version=both)
    second = dial(broker, "c", username="ann", version=both)
    assert first.closed.wait(15)
    if both == paho.MQTTv5:
        assert first.reason_of_end() == TAKEN_OVER
    found = {row["clientid"] for row in broker.ask("clients", "list")["clients"]}
    assert found == {"ann", "b"}
    for client in (plain, second):
        client.subscribe("alive")


def test_unacknowledged_messages_are_sent_again_if_that_is_wanted(operate, dial, both):
    """Q7: on a live connection, with DUP, again and again, until the acknowledgement comes."""
    broker = operate("mqtt.retry_interval = 1s\n")
    client, publisher = dial(broker, version=both, manual_ack=True), dial(broker, version=both)
    client.subscribe("t", 1)
    publisher.publish("t", b"m", 1)
    got = [client.receive() for _ in range(3)]
    assert [bool(each.dup) for each in got] == [False, True, True]
    assert len({each.mid for each in got}) == 1
    client.client.ack(got[0].mid, 1)
    client.subscribe("end", 1)
    publisher.publish("end", b"m", 1)
    while (message := client.receive()).topic != "end":
        assert message.dup, "one that was on its way before the acknowledgement"


def test_too_many_user_properties(operate, dial):
    """P7, limits: one more than `mqtt.max_user_properties` ends the connection."""
    broker = operate("mqtt.max_user_properties = 2\n")
    client, watcher = dial(broker), dial(broker)
    watcher.subscribe("t", 1)
    for count in (2, 3):
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("name", str(number)) for number in range(count)]
        if count == 2:
            client.publish("t", b"m", 1, properties=properties)
            assert watcher.receive().properties.UserProperty == properties.UserProperty
        else:
            client.client.publish("t", b"m", 1, properties=properties)
            assert client.reason_of_end() == QUOTA_EXCEEDED
