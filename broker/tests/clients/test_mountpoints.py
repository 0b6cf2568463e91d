"""Mountpoints (L7): topics of a listener's clients begin with what they know nothing of, seen by paho and mosquitto."""

import shutil
import subprocess

import paho.mqtt.client as paho
import pytest

NOT_AUTHORIZED = 0x87
"""What paho makes of return code 5 of MQTT 3.1.1 too."""
TIMEOUT = 15
"""Seconds until mosquitto_sub gives up."""

LISTENERS = """
listeners.tcp.default.enable = false
listeners.tcp.devices { bind = "127.0.0.1:0", mountpoint = "devices/${clientid}/" }
listeners.tcp.plain { bind = "127.0.0.1:0" }
listeners.tcp.tenants { bind = "127.0.0.1:0", mountpoint = "tenants/${username}/" }
mqtt.exclusive_subscription = true
"""


@pytest.fixture
def mounted(operate, dial):
    """A broker with three listeners, and clients that come by one of them."""

    class Mounted:
        broker = operate(LISTENERS, listeners=3)
        devices, plain, tenants = broker.ports

        def dial(self, port, *arguments, **named):
            return dial(self.broker, *arguments, port=port, **named)

    return Mounted()


def test_what_is_sent_and_received(mounted, both):
    """L7: PUBLISH both ways, at every QoS, and UNSUBSCRIBE."""
    inside = mounted.dial(mounted.devices, "d1", version=both)
    outside = mounted.dial(mounted.plain, version=both)
    inside.subscribe("a/+", 2)
    outside.subscribe("devices/d1/#", 2)
    for qos in (0, 1, 2):
        outside.publish("devices/d1/a/in", b"%d" % qos, qos)
        message = inside.receive()
        assert (message.topic, message.payload, message.qos) == ("a/in", b"%d" % qos, qos)
        assert outside.receive().topic == "devices/d1/a/in"
        inside.publish("out", b"%d" % qos, qos)
        message = outside.receive()
        assert (message.topic, message.payload, message.qos) == ("devices/d1/out", b"%d" % qos, qos)
    inside.unsubscribe("a/+")
    inside.subscribe("b", 1)
    outside.publish("devices/d1/a/in", b"nobody", 1)
    outside.publish("devices/d1/b", b"marker", 1)
    assert inside.receive().topic == "b"


def test_tenants_do_not_meet(mounted, both):
    """L7: with everything subscribed to, a client gets what its own user publishes and nothing else."""
    ann, other_ann, bob = (
        mounted.dial(mounted.tenants, f"t{number}", username=user, version=both)
        for number, user in enumerate(("ann", "ann", "bob"))
    )
    for client in (ann, bob):
        client.subscribe("#", 1)
    other_ann.publish("t", b"for ann", 1)
    message = ann.receive()
    assert (message.topic, message.payload) == ("t", b"for ann")
    bob.nothing_before(bob, "marker")


def test_prefixes_retained_messages_and_wills(mounted, both):
    """L7: only the topic is mounted, not what stands before it; what is retained and what is left behind are, too."""
    inside = mounted.dial(mounted.devices, "d2", version=both)
    outside = mounted.dial(mounted.plain, version=both)
    inside.publish("kept", b"r", 1, retain=True)
    for filter, topic in (("$share/g/s", "s"), ("$queue/q", "q"), ("$exclusive/e", "e")):
        inside.subscribe(filter, 1)
        outside.publish(f"devices/d2/{topic}", b"x", 1)
        assert inside.receive().topic == topic
    inside.subscribe("#", 0)
    message = inside.receive()
    assert (message.topic, message.payload, message.retain) == ("kept", b"r", True)
    outside.subscribe("devices/#", 0)
    message = outside.receive()
    assert (message.topic, message.retain) == ("devices/d2/kept", True)
    inside.publish("$delayed/1/late", b"d", 1)
    assert outside.receive().topic == "devices/d2/late"
    assert inside.receive().topic == "late"
    mounted.dial(mounted.devices, "d3", version=both, will=("gone", b"w", 1, False)).break_off()
    message = outside.receive()
    assert (message.topic, message.payload) == ("devices/d3/gone", b"w")
    shown = mounted.broker.ask("clients", "show", "d2")
    assert shown["mountpoint"] == "devices/d2/"
    listed = mounted.broker.ask("subscriptions", "list", "d2")["subscriptions"]
    assert "$share/g/devices/d2/s" in [row["topic"] for row in listed]


def test_aliases_towards_a_client(mounted):
    """L7 P10: a topic that is told by an alias is the one that the client knows."""
    inside = mounted.dial(mounted.devices, "d4", limits={"TopicAliasMaximum": 5})
    outside = mounted.dial(mounted.plain)
    inside.subscribe("t", 1)
    for _ in range(2):
        outside.publish("devices/d4/t", b"x", 1)
    # paho hands on the topic as it came: the second time the alias stands for it.
    assert [inside.receive().topic for _ in range(2)] == ["t", ""]


def test_names_that_are_no_topic(mounted, both):
    """L7: a user name with a wildcard would reach the topics of others, so its client is refused."""
    mounted.dial(mounted.tenants, "w", username="+", version=both, refusal=NOT_AUTHORIZED)
    mounted.dial(mounted.plain, "w", username="+", version=both)


def test_a_change_while_the_broker_runs(mounted):
    """L7 L9: for the clients that come from then on."""
    before = mounted.dial(mounted.devices, "d5")
    before.subscribe("t", 1)
    mounted.broker.set("listeners.tcp.devices.mountpoint", "moved/")
    refused = mounted.broker.refused("conf", "set", "listeners.tcp.devices.mountpoint", '"a/#"')
    assert "has a character that no topic name has" in refused
    row = mounted.broker.ask("listeners", "list")["listeners"]
    port = next(int(each["listen_on"].rpartition(":")[2]) for each in row if each["id"] == "tcp:devices")
    after = mounted.dial(port, "d6")
    after.subscribe("t", 1)
    outside = mounted.dial(mounted.plain)
    outside.publish("devices/d5/t", b"old", 1)
    outside.publish("moved/t", b"new", 1)
    assert (before.receive().payload, after.receive().payload) == (b"old", b"new")


@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquitto(mounted, version):
    """L7: another client library, in every version of the protocol."""

    def command(program, port, *arguments):
        return [program, "-h", "127.0.0.1", "-p", str(port), "-V", version, *arguments]

    outside = mounted.dial(mounted.plain, version=paho.MQTTv311)
    outside.subscribe("devices/#", 1)
    arguments = ["-i", "m1", "-t", "a/#", "-q", "1", "-F", "%t %p", "-C", "1", "-W", str(TIMEOUT), "-d"]
    listening = ["stdbuf", "-oL", *command("mosquitto_sub", mounted.devices, *arguments)]
    with subprocess.Popen(listening, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as subscriber:
        lines = []
        for line in subscriber.stdout:
            lines.append(line)
            if line.startswith(b"Subscribed"):
                outside.publish("devices/m1/a/b", b"in", 1)
    assert b"a/b in\n" in lines, lines
    assert outside.receive().topic == "devices/m1/a/b"
    sending = command("mosquitto_pub", mounted.devices, "-i", "m2", "-t", "out", "-m", "x", "-q", "1")
    subprocess.run(sending, check=True, timeout=TIMEOUT)
    message = outside.receive()
    assert (message.topic, message.payload) == ("devices/m2/out", b"x")
