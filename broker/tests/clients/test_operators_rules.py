"""What the operator makes of clients' topics: subscriptions for everybody (M13), rewriting (M14), delays (M15), exclusive
topics (M12) and group strategies (M10), seen by paho and asked with `ringmq ctl`."""

import time

import paho.mqtt.client as paho
import pytest

from operated import eventually
from paho_client import shares

DOCUMENTED_RULES = """rewrite = [
  {action = all, source_topic = "y/+/z/#", re = "^y/(.+)/z/(.+)$", dest_topic = "y/z/$2"}
  {action = all, source_topic = "x/#", re = "^x/y/(.+)$", dest_topic = "z/y/x/$1"}
  {action = all, source_topic = "x/y/+", re = "^x/y/([0-9]+)$", dest_topic = "z/y/$1"}
  {action = publish, source_topic = "of/#", re = "^of/(.+)$", dest_topic = "u/${username}/c/${clientid}/$1"}
  {action = publish, source_topic = "late/#", re = "^late/(.+)$", dest_topic = "$delayed/1/$1"}
]
"""


def subscriptions(broker, client_id):
    return sorted(row["topic"] for row in broker.ask("subscriptions", "list", client_id)["subscriptions"])


def test_options_hold_for_clients_that_have_none(operate, dial, both):
    """M13 P9: Retain As Published, No Local and Retain Handling of an entry, also before MQTT 5."""
    broker = operate(
        "auto_subscribe.topics = [{topic = rap, qos = 1, rap = 1}, {topic = plain, qos = 1},"
        " {topic = nl, qos = 1, nl = 1}, {topic = rh, qos = 1, rh = 2}, {topic = given, qos = 1}]\n"
    )
    publisher = dial(broker)
    for topic in ("rh", "given"):
        publisher.publish(topic, b"kept", 1, True)
    client = dial(broker, "it", version=both)
    first = client.receive()
    assert (first.topic, first.payload, first.retain) == ("given", b"kept", True), "and not that of rh"
    for topic, retain in (("rap", True), ("plain", False)):
        publisher.publish(topic, b"live", 1, True)
        message = client.receive()
        assert (message.topic, bool(message.retain)) == (topic, retain)
    client.publish("nl", b"own", 1)
    publisher.publish("nl", b"other", 1)
    assert client.receive().payload == b"other"


def test_the_dry_run_tells_what_a_client_gets(operate, dial):
    """M13: `ctl auto-subscribe test` and the subscriptions that are there in the end are the same."""
    broker = operate(
        'auto_subscribe.topics = [{topic = "to/${clientid}", qos = 1}, {topic = "user/${username}", qos = 2},'
        ' {topic = "from/${host}/${port}"}, {topic = "$share/g/jobs"}]\n'
    )
    for name, username in (("with", "ann"), ("without", None)):
        client = dial(broker, name, username=username)
        client.subscribe("ready")
        host, port = client.client.socket().getsockname()
        asked = ["--host", host, "--port", str(port)] + (["--username", username] if username else [])
        told = broker.ask("auto-subscribe", "test", name, *asked)["subscriptions"]
        assert sorted([row["topic"] for row in told] + ["ready"]) == subscriptions(broker, name)
        assert len(told) == (4 if username else 3)
    assert "is no address" in broker.refused("auto-subscribe", "test", "c", "--host", "here")


@pytest.mark.parametrize("key", ["auto_subscribe.topics", "rewrite"])
def test_thirty_and_no_more(operate, dial, key):
    """M13 M14, trap 1: the limits table's thirty, all of them in force."""
    one = {
        "auto_subscribe.topics": "{{topic = t{0}, qos = 1}}",
        "rewrite": '{{action = all, source_topic = "t{0}", re = "^t{0}$", dest_topic = "new/t{0}"}}',
    }[key]
    records = [one.format(number) for number in range(31)]
    broker = operate(f"{key} = [{', '.join(records[:30])}]\n", files={"many.conf": f"{key} = [{', '.join(records)}]\n"})
    client = dial(broker, "c")
    client.subscribe("new/t29", 1)
    dial(broker).publish("t29", b"m", 1)
    assert client.receive().payload == b"m"
    if key == "auto_subscribe.topics":
        assert len(subscriptions(broker, "c")) == 31
    checked = broker.run("check-config", "--config", "many.conf")
    assert checked.returncode == 1 and "more than 30 records" in checked.stderr


def test_the_rule_whose_filter_matches_first_decides(operate, dial, both):
    """M14: no other rule is tried, whether its expression matches or not; groups, client and user stand in the result."""
    broker = operate(DOCUMENTED_RULES)
    watcher = dial(broker, version=both)
    for topic in ("y/z/#", "z/#", "x/#", "u/#"):
        watcher.subscribe(topic, 1)
    # What was subscribed to as x/# is that, for the expression does not match; u and z have no rule.
    publisher = dial(broker, "pub", username="ann", version=both)
    for sent, received in (
        ("y/a/z/b", "y/z/b"),
        ("y/def", None),
        ("x/1/2", "x/1/2"),
        ("x/y/2", "z/y/x/2"),
        ("x/y/z", "z/y/x/z"),
        ("of/t", "u/ann/c/pub/t"),
    ):
        publisher.publish(sent, sent.encode(), 1)
        if received:
            message = watcher.receive()
            assert (message.topic, message.payload) == (received, sent.encode())
        told = broker.ask("rewrite", "test", "publish", sent, "--clientid", "pub", "--username", "ann")
        assert told["topic"] == (received or sent)


def test_unsubscribing_and_wills_are_rewritten(operate, dial, both):
    """M14: UNSUBSCRIBE by the name that was subscribed, and a will like any message."""
    broker = operate(DOCUMENTED_RULES)
    client, publisher = dial(broker, "c", version=both), dial(broker, version=both)
    client.subscribe("y/a/z/b", 1)
    assert subscriptions(broker, "c") == ["y/z/b"]
    dial(broker, version=both, will=("y/q/z/b", b"gone", 1, False)).break_off()
    assert client.receive().topic == "y/z/b"
    client.unsubscribe("y/a/z/b")
    assert subscriptions(broker, "c") == []
    client.subscribe("still/here", 1)
    publisher.publish("y/z/b", b"m", 1)
    client.nothing_before(publisher, "still/here")


def test_rewriting_into_a_delay(operate, dial):
    """M14 M15: the new name may ask for a delay."""
    broker = operate(DOCUMENTED_RULES)
    client, publisher = dial(broker), dial(broker)
    client.subscribe("t", 1)
    start = time.monotonic()
    publisher.publish("late/t", b"later", 1)
    publisher.publish("t", b"now", 1)
    assert client.payloads(2) == [b"now", b"later"]
    assert time.monotonic() - start > 0.9


def test_a_delayed_message_is_retained_when_it_is_published(operate, dial, both):
    """M15 M3: neither before nor never; a will may be delayed too."""
    broker = operate()
    writer, reader = dial(broker, version=both), dial(broker, version=both)
    reader.subscribe("r", 1)
    writer.publish("$delayed/3/r", b"kept", 1, True)
    assert broker.ask("retainer", "info") == {"retained": 0}
    broker.await_counter("delayed.count", 1)
    assert reader.receive().payload == b"kept"
    eventually(lambda: broker.ask("retainer", "info"), lambda told: told == {"retained": 1})
    dial(broker, version=both, will=("$delayed/1/r", b"will", 1, False)).break_off()
    assert reader.receive().payload == b"will"
    broker.await_counter("delayed.count", 0)


def test_whose_topics_are_exclusive_is_listed(operate, dial):
    """M12: the owner, its topic, and nobody once it is given up."""
    broker = operate("mqtt.exclusive_subscription = true\n")
    owners = [dial(broker, f"owner{number}") for number in range(4)]
    for number, owner in enumerate(owners):
        owner.subscribe(f"$exclusive/own/{number}", 1)
        owner.subscribe("shared/by/all", 1)
    owners[0].subscribe("$exclusive/own/1", 1, granted=0x97)

    def listed():
        return {row["topic"]: row["clientid"] for row in broker.ask("exclusive", "list")["exclusive"]}

    assert listed() == {f"own/{number}": f"owner{number}" for number in range(4)}
    assert "own/2 clientid=owner2\n" in broker.ctl("exclusive", "list")
    owners[2].unsubscribe("$exclusive/own/2")
    owners[3].end()
    eventually(listed, lambda found: found == {"own/0": "owner0", "own/1": "owner1"})


def test_a_group_with_a_strategy_of_its_own(operate, dial):
    """M10: hash_topic for one group, the common strategy for the other."""
    broker = operate(
        "mqtt.shared_subscription_strategy = round_robin_per_group\n"
        "broker.shared_subscription_group.one.strategy = hash_topic\n"
    )
    groups = {name: [dial(broker) for _ in range(2)] for name in ("one", "two")}
    for name, members in groups.items():
        for member in members:
            member.subscribe(f"$share/{name}/t", 1)
    publisher = dial(broker)

    def publish():
        for number in range(20):
            publisher.publish("t", b"%d" % number, 1)

    found = shares(groups["one"] + groups["two"], 40, publish)
    assert sorted(map(len, found[:2])) == [0, 20]
    assert list(map(len, found[2:])) == [10, 10]


def test_which_member_a_sticky_group_begins_with(operate, dial, both):
    """M10: shared_subscription_initial_sticky_pick, and that of one group: by topic, so all publishers have the same."""
    broker = operate(
        "mqtt { shared_subscription_strategy = sticky, shared_subscription_initial_sticky_pick = hash_clientid }\n"
        "broker.shared_subscription_group.one.initial_sticky_pick = hash_topic\n"
    )
    members = [dial(broker, version=both) for _ in range(4)]
    for member in members:
        member.subscribe("$share/one/t", 1)
    publishers = [dial(broker, version=both) for _ in range(8)]

    def publish():
        for publisher in publishers:
            publisher.publish("t", b"x", 1)

    assert sorted(map(len, shares(members, 8, publish))) == [0, 0, 0, 8]


@pytest.mark.parametrize("version", [paho.MQTTv31, paho.MQTTv311], ids=["v3.1", "v3.1.1"])
def test_old_clients_share_too(operate, dial, version):
    """M9: `$queue` and `$share` before MQTT 5."""
    broker = operate()
    members = [dial(broker, version=version) for _ in range(2)]
    members[0].subscribe("$queue/jobs/+", 1)
    members[1].subscribe("$queue/jobs/+", 1)
    publisher = dial(broker, version=version)

    def publish():
        for number in range(10):
            publisher.publish(f"jobs/{number}", b"%d" % number, 1)

    assert [len(each) for each in shares(members, 10, publish)] == [5, 5]
