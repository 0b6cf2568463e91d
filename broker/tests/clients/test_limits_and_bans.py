"""What listeners, zones and clients may have (X1, X2, X3, X5, L7, L10), and who may not come (B1, B2), seen by paho."""

import socket
import time

import paho.mqtt.client as paho

from operated import eventually, restarted
from wire_client import let_time_pass

BANNED, QUOTA_EXCEEDED, ADMINISTRATIVE_ACTION = 0x8A, 0x97, 0x98
NOT_AUTHORIZED = 0x87
"""What paho makes of return code 5 of MQTT 3.1.1."""
NO_SUBSCRIBERS = 0x10

TWO_LISTENERS = """
listeners.tcp.inner { bind = "127.0.0.1:0", zone = inner }
listeners.tcp.outer { bind = "127.0.0.1:0" }
listeners.tcp.default.enable = false
"""


def port_of(broker, listener):
    """Where a listener is now: one without a port of its own gets another when it changes."""
    rows = broker.ask("listeners", "list")["listeners"]
    return int(next(row["listen_on"] for row in rows if row["id"] == listener).rpartition(":")[2])


def assert_turned_away(port):
    with socket.create_connection(("127.0.0.1", port), 15) as turned_away:
        try:
            assert turned_away.recv(1) == b""
        except ConnectionResetError:
            pass


def test_connections_in_a_time(operate, dial):
    """X1 X2: a listener accepts as many as its rate allows, and others wait; none is turned away."""
    settings = 'listeners.tcp.default { bind = "127.0.0.1:0", max_conn_rate = "4/s" }\n'
    broker = operate(settings, listeners=1)
    start = time.monotonic()
    clients = [dial(broker) for _ in range(13)]
    # A bucket of four, and nine more at four a second.
    assert time.monotonic() - start > 1.5
    assert eventually(lambda: broker.counter("driver.accept_pauses")) > 0
    for client in clients:
        client.subscribe("alive")
    assert broker.ask("listeners", "list")["listeners"][0]["current_connections"] == 13


def test_bytes_and_bursts(operate, dial):
    """X1: bytes count those of topic and payload; a burst is used up after the rate."""
    settings = 'mqtt.limiter.bytes_rate = "100B/1h"\nringmq.limit_action = drop\n'
    broker = operate(settings)
    client = dial(broker)
    # One may be larger than the bucket; what it takes beyond is a debt.
    assert client.publish_for("t", b"x" * 149) == NO_SUBSCRIBERS
    assert client.publish_for("t", b"") == QUOTA_EXCEEDED
    assert dial(broker).publish_for("t", b"x") == NO_SUBSCRIBERS, "each client has its own"
    broker.set("mqtt.limiter.bytes_rate", "infinity")
    broker.set("mqtt.limiter.messages_rate", "1/1h")
    broker.set("mqtt.limiter.messages_burst", "2/1h")
    client = dial(broker)
    assert [client.publish_for("t", b"") for _ in range(4)] == [NO_SUBSCRIBERS] * 3 + [QUOTA_EXCEEDED]
    broker.set("mqtt.limiter.messages_rate", "infinity")
    broker.set("mqtt.limiter.bytes_rate", "10B/1h")
    broker.set("mqtt.limiter.bytes_burst", "10B/1h")
    client = dial(broker)
    assert [client.publish_for("t", b"x" * 9) for _ in range(3)] == [NO_SUBSCRIBERS] * 2 + [QUOTA_EXCEEDED]


def test_a_zone_limits_the_clients_of_its_listener_alone(operate, dial):
    """L10 X3: rates, queues and capabilities by the listener that a client came by; a listener's own rate goes first."""
    broker = operate(
        TWO_LISTENERS + "zones.inner { mqtt { limiter.messages_rate = 1/1h, max_qos_allowed = 1, retain_available = false"
        ", max_mqueue_len = 1, max_topic_levels = 2 }, ringmq.limit_action = drop }\n".replace("1/1h", '"1/1h"'),
        listeners=2,
    )
    inner_port, outer_port = broker.ports
    inner, outer = dial(broker, "inner", port=inner_port), dial(broker, "outer", port=outer_port)
    assert [inner.publish_for("t", b"") for _ in range(2)] == [NO_SUBSCRIBERS, QUOTA_EXCEEDED]
    assert [outer.publish_for("t", b"") for _ in range(2)] == [NO_SUBSCRIBERS] * 2
    assert (inner.properties.MaximumQoS, inner.properties.RetainAvailable) == (1, 0)
    assert not hasattr(outer.properties, "MaximumQoS") and getattr(outer.properties, "RetainAvailable", 1) == 1
    inner.subscribe("a/b/c", 1, granted=0x8F)
    outer.subscribe("a/b/c", 1)
    shown = {name: broker.ask("clients", "show", name) for name in ("inner", "outer")}
    assert {name: (row["listener"], row["zone"]) for name, row in shown.items()} == {
        "inner": ("tcp:inner", "inner"),
        "outer": ("tcp:outer", "default"),
    }
    # The zone of a client that is away is that of its last connection.
    for name, port, kept in (("gone-in", inner_port, 1), ("gone-out", outer_port, 3)):
        client = dial(broker, name, clean=False, port=port)
        client.subscribe("q", 1)
        client.end()
        for _ in range(3):
            outer.publish("q", b"m", 1)
        eventually(lambda name=name: broker.ask("clients", "show", name)["mqueue_len"], lambda got, n=kept: got == n)
    broker.set("listeners.tcp.inner.messages_rate", "3/1h")
    again = dial(broker, "again", port=port_of(broker, "tcp:inner"))
    assert [again.publish_for("t", b"") for _ in range(4)] == [NO_SUBSCRIBERS] * 3 + [QUOTA_EXCEEDED]
    # What was changed is a part of a whole that ctl does not know without --config, and does not need.
    assert broker.run("ctl", "status").returncode == 0


def test_a_backlog_of_bytes(operate, dial):
    """X5: `force_shutdown.max_heap_size` counts what waits in the queue."""
    broker = operate("mqtt.max_inflight = 1\nforce_shutdown.max_heap_size = 64KB\n")
    slow, publisher = dial(broker, "slow", manual_ack=True), dial(broker)
    slow.subscribe("t", 1)
    for _ in range(8):
        publisher.publish("t", b"x" * 10_000, 1)
    assert slow.reason_of_end() == QUOTA_EXCEEDED
    broker.await_counter("client.force_shutdown", 1)


def test_one_text_may_hold_several_rules(operate, dial):
    """L7: as EMQX writes them."""
    settings = 'listeners.tcp.default { bind = "127.0.0.1:0", access_rules = ["allow 127.0.0.1, deny all"] }\n'
    broker = operate(settings, listeners=1)
    dial(broker).subscribe("alive")
    broker.set("listeners.tcp.default.access_rules.1", "deny 127.0.0.0/8 , allow all")
    assert_turned_away(port_of(broker, "tcp:default"))
    assert eventually(lambda: broker.ask("listeners", "list")["listeners"][0]["closed.access_rules"]) == 1


def test_banned_clients_are_told_and_the_ban_is_kept(operate, dial, both):
    """B1: by identifier at once, by name and address at the next CONNECT; after a restart too."""
    refusal = BANNED if both == paho.MQTTv5 else NOT_AUTHORIZED
    broker = operate()
    victim, ann = dial(broker, "victim", version=both), dial(broker, "ann-1", username="ann", version=both)
    watcher = dial(broker)
    watcher.subscribe("will", 1)
    dying = dial(broker, "dying", version=both, will=("will", b"banned", 1, False))
    broker.ctl("banned", "add", "clientid", "dying")
    assert dying.closed.wait(15) and watcher.receive().payload == b"banned"
    broker.ctl("banned", "add", "clientid", "victim", "--reason", "noise")
    assert victim.closed.wait(15)
    if both == paho.MQTTv5:
        assert victim.reason_of_end() == ADMINISTRATIVE_ACTION
    broker.ctl("banned", "add", "username", "ann")
    ann.subscribe("alive")
    dial(broker, "victim", version=both, refusal=refusal)
    dial(broker, "ann-2", username="ann", version=both, refusal=refusal)
    dial(broker, "ann-2", username="bob", version=both)
    again = restarted(broker)
    try:
        dial(again, "victim", version=both, refusal=refusal)
        again.ctl("banned", "delete", "clientid", "victim")
        dial(again, "victim", version=both)
        again.ctl("banned", "add", "peerhost_net", "127.0.0.0/8")
        dial(again, "anybody", version=both, refusal=refusal)
    finally:
        assert again.terminate() == 0, again.describe()


def test_flapping_is_within_a_window(operate, dial, both):
    """B2: as many disconnects as are too many for one window are not over two."""
    broker = operate("flapping_detect { enable = true, max_count = 3, window_time = 2s, ban_time = 1m }\n", shards=1)
    # Windows that are over are swept out together now and then. That of `calm` ends between two sweeps, which follow
    # the disconnects of `other`, and does not count any more all the same.
    for name, times, pause in (("other", 1, 1), ("calm", 2, 1.1), ("other", 1, 1), ("calm", 2, 0)):
        for _ in range(times):
            dial(broker, name, version=both).end()
        let_time_pass(pause)
    dial(broker, "calm", version=both)
    for _ in range(3):
        dial(broker, "hasty", version=both).end()
    row = eventually(lambda: broker.ask("banned", "list")["banned"])[0]
    assert (row["as"], row["who"], row["by"]) == ("clientid", "hasty", "flapping detector")
    dial(broker, "hasty", version=both, refusal=BANNED if both == paho.MQTTv5 else NOT_AUTHORIZED)


def test_an_ipv4_client_of_an_ipv6_listener(operate, dial):
    """L11 B1 L7: it is known, banned and kept out by the address that it has, not by the one that is mapped to IPv6."""
    broker = operate('listeners.tcp.default.bind = "[::]:0"\n', listeners=1)
    client = dial(broker, "c")
    assert broker.ask("clients", "show", "c")["ip_address"] == "127.0.0.1"
    broker.ctl("banned", "add", "peerhost", "127.0.0.1")
    dial(broker, refusal=BANNED)
    broker.ctl("banned", "delete", "peerhost", "127.0.0.1")
    broker.ctl("trace", "start", "by-address", "ip_address", "127.0.0.1", "address.log")
    client.publish("t", b"traced", 1)
    file = broker.workdir / "log" / "address.log"
    eventually(lambda: "payload: traced" in file.read_text())
    broker.set("listeners.tcp.default.access_rules", '["deny 127.0.0.0/8"]')
    assert_turned_away(port_of(broker, "tcp:default"))
