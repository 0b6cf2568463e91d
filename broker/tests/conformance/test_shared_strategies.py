"""The seven ways of choosing a member of a shared subscription (M10)."""

import pytest

from wire_client import collect

STRATEGIES = ["random", "round_robin", "round_robin_per_group", "sticky", "local", "hash_topic", "hash_clientid"]

pytestmark = pytest.mark.ringmq_only("mqtt.shared_subscription_strategy")


@pytest.fixture
def group(connect, broker_with, unique):
    """Brokers by strategy: returns members of a group on `<unique>/#` and a way to add publishers."""

    def make(strategy: str, count: int = 3):
        to = broker_with(f"mqtt.shared_subscription_strategy={strategy}")
        members = [connect(to=to) for _ in range(count)]
        for member in members:
            member.subscribe(f"$share/g/{unique}/#", qos=1)
        return members, lambda: connect(to=to)

    return make


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_message_once(group, unique, strategy):
    """M9: whatever the strategy, one member gets it."""
    members, publisher = group(strategy)
    source = publisher()
    for number in range(60):
        source.publish(f"{unique}/{number}", b"%d" % number, qos=1)
    got = collect(members, 60)
    assert sorted(sum(got, [])) == sorted(b"%d" % number for number in range(60))
    for member in members:
        member.quiet(source)


def test_random(group, unique):
    """Every member gets some of 150; none by chance happens once in 10^26 runs."""
    members, publisher = group("random")
    source = publisher()
    for number in range(150):
        source.publish(unique, b"%d" % number, qos=1)
    assert all(collect(members, 150))


def test_round_robin(group, unique):
    """Equal shares for each publishing connection."""
    members, publisher = group("round_robin")
    for _ in range(2):
        source = publisher()
        for number in range(30):
            source.publish(unique, b"%d" % number, qos=1)
        assert [len(each) for each in collect(members, 30)] == [10, 10, 10]


def test_round_robin_per_group(group, unique):
    """Equal shares for the group, whoever publishes."""
    members, publisher = group("round_robin_per_group")
    for number in range(30):
        publisher().publish(unique, b"%d" % number, qos=1)
    assert [len(each) for each in collect(members, 30)] == [10, 10, 10]


def test_sticky(group, unique):
    """All to one member until it leaves, then all to another."""
    members, publisher = group("sticky")
    source = publisher()
    for number in range(20):
        source.publish(unique, b"%d" % number, qos=1)
    shares = [len(each) for each in collect(members, 20)]
    assert sorted(shares) == [0, 0, 20]
    members.pop(shares.index(20)).goodbye()
    for number in range(20):
        source.publish(unique, b"%d" % number, qos=1)
    assert sorted(len(each) for each in collect(members, 20)) == [0, 20]


def test_hash_topic(group, unique):
    """A topic always goes to the same member; many topics to several."""
    members, publisher = group("hash_topic")
    for source in (publisher(), publisher()):
        for number in range(40):
            source.publish(f"{unique}/{number}", b"%d" % number, qos=1)
    got = collect(members, 80)
    for payloads in got:
        assert all(payloads.count(each) == 2 for each in payloads)
    assert sum(1 for each in got if each) > 1


def test_hash_clientid(group, unique):
    """A publisher always reaches the same member; many publishers several."""
    members, publisher = group("hash_clientid")
    for source in range(24):
        client = publisher()
        for _ in range(3):
            client.publish(unique, b"%d" % source, qos=1)
    got = collect(members, 72)
    for payloads in got:
        assert all(payloads.count(each) == 3 for each in payloads)
    assert sum(1 for each in got if each) > 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_member_that_left_is_not_chosen(group, unique, strategy):
    """M11. A message chosen for it before its shard knew is given to the other, and comes after those published since."""
    members, publisher = group(strategy, 2)
    source = publisher()
    source.publish(unique, b"first", qos=1)
    collect(members, 1)
    members.pop().goodbye()
    for number in range(10):
        source.publish(f"{unique}/{number}", b"%d" % number, qos=1)
    assert sorted(members[0].payloads(10)) == [b"%d" % number for number in range(10)]
    members[0].quiet(source)
