"""What an operator sees of clients: `$SYS` (Y*), the log (O1), traces (O2), Prometheus (O3), topic metrics (O7), and
`ringmq ctl`, with paho and mosquitto_sub as the clients."""

import json
import re
import shutil
import subprocess
import time
import urllib.request

import paho.mqtt.client as paho
import pytest

from operated import eventually

ADMINISTRATIVE_ACTION = 0x98
NODE = "$SYS/brokers/emqx@127.0.0.1"


@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")
def test_mosquitto_sub_sees_what_the_broker_tells_of_itself(operate, dial):
    """Y1 Y2 Y3 Y4, trap 13: facts, signs of life and counters under EMQX's names; `#` does not mean them."""
    broker = operate("sys_topics { sys_msg_interval = 1s, sys_heartbeat_interval = 1s }\n")
    everything = dial(broker)
    everything.subscribe("#")
    client = dial(broker, "counted")
    client.publish("t", b"m", 1)
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.address[1]), "-t", "$SYS/#", "-v", "-W", "20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    seen = {}
    wanted = {f"{NODE}/{name}" for name in ("version", "sysdescr", "uptime", "datetime", "stats/connections/count")}
    wanted |= {"$SYS/brokers", f"{NODE}/metrics/messages/qos1/received", f"{NODE}/metrics/bytes/received"}
    assert process.stdout
    for line in process.stdout:
        topic, _, payload = line.rstrip("\n").partition(" ")
        seen[topic] = payload
        if wanted <= seen.keys() and seen[f"{NODE}/metrics/messages/qos1/received"] == "1":
            break
    process.kill()
    process.wait()
    assert wanted <= seen.keys(), wanted - seen.keys()
    assert seen["$SYS/brokers"] == "emqx@127.0.0.1"
    assert re.fullmatch(r"[0-9]+", seen[f"{NODE}/uptime"])
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", seen[f"{NODE}/datetime"])
    assert everything.receive().topic == "t"
    everything.nothing_before(client, "marker")


def test_the_life_of_a_client_is_told(operate, dial, both):
    """Y5 Y6 Y7: connected, subscribed, unsubscribed and disconnected, in this order."""
    switches = "client_subscribed = true, client_unsubscribed = true"
    broker = operate(f"sys_topics.sys_event_messages {{ {switches} }}\n")
    watcher = dial(broker)
    watcher.subscribe(f"{NODE}/clients/watched/+")
    client = dial(broker, "watched", username="ann", version=both)
    client.subscribe("$share/g/a/+", 1)
    client.unsubscribe("$share/g/a/+")
    client.end()
    told = [watcher.receive() for _ in range(4)]
    events = [each.topic.rpartition("/")[2] for each in told]
    assert events == ["connected", "subscribed", "unsubscribed", "disconnected"]
    connected, subscribed, unsubscribed, disconnected = (json.loads(each.payload) for each in told)
    for event in (connected, subscribed, unsubscribed, disconnected):
        assert (event["clientid"], event["username"]) == ("watched", "ann")
        assert abs(event["ts"] / 1000 - time.time()) < 60
    assert (connected["proto_ver"], connected["keepalive"]) == ({paho.MQTTv311: 4, paho.MQTTv5: 5}[both], 60)
    assert connected["sockport"] == broker.address[1]
    assert (subscribed["topic"], subscribed["subopts"]["qos"]) == ("$share/g/a/+", 1)
    assert unsubscribed["topic"] == "$share/g/a/+"
    assert disconnected["reason"] == "normal"
    assert disconnected["disconnected_at"] >= disconnected["connected_at"] == connected["connected_at"]


def test_a_client_is_shown_and_kicked(operate, dial, both):
    """ctl: what paho told of itself is shown; a kick publishes the will and leaves no session."""
    broker = operate()
    watcher = dial(broker)
    watcher.subscribe("will", 1)
    client = dial(broker, "kicked", clean=False, username="ann", version=both, will=("will", b"gone", 1, False))
    client.subscribe("a/#", 2)
    shown = broker.ask("clients", "show", "kicked")
    expected = {"username": "ann", "keepalive": 60, "subscriptions_cnt": 1, "connected": True, "zone": "default"}
    assert {name: shown[name] for name in expected} == expected
    assert shown["expiry_interval"] == (60 if both == paho.MQTTv5 else 7200)
    assert (shown["ip_address"], shown["port"]) == client.client.socket().getsockname()
    row = {"clientid": "kicked", "topic": "a/#", "qos": 2, "nl": 0, "rap": 0}
    assert broker.ask("subscriptions", "list", "kicked")["subscriptions"] == [row]
    broker.ctl("clients", "kick", "kicked")
    assert client.closed.wait(15) and watcher.receive().payload == b"gone"
    if both == paho.MQTTv5:
        assert client.reason_of_end() == ADMINISTRATIVE_ACTION
    assert "there is no client" in broker.refused("clients", "show", "kicked")


def test_prometheus_finds_what_paho_did(operate, dial):
    """O3: names of EMQX's dashboards, with the figures of this traffic."""
    broker = operate('ringmq.monitoring_bind = "127.0.0.1:0"\n')
    address = re.search(rb"http://(\S+)/metrics", broker.output)
    assert address, broker.describe()
    subscriber, publisher = dial(broker), dial(broker)
    subscriber.subscribe("t", 1)
    for qos in (0, 1, 1, 2, 2, 2):
        publisher.publish("t", b"m", qos)
    subscriber.payloads(6)

    def page():
        with urllib.request.urlopen(f"http://{address[1].decode()}/api/v5/prometheus/stats", timeout=15) as answer:
            lines = [line.split() for line in answer.read().decode().splitlines() if not line.startswith("#")]
            return {line[0]: float(line[1]) for line in lines}

    expected = {
        "emqx_connections_count": 2,
        "emqx_sessions_count": 2,
        "emqx_subscriptions_count": 1,
        "emqx_messages_received": 6,
        "emqx_messages_qos0_received": 1,
        "emqx_messages_qos1_received": 2,
        "emqx_messages_qos2_received": 3,
        "emqx_messages_sent": 6,
        "emqx_messages_qos1_sent": 5,
        "emqx_client_connected": 2,
        "emqx_session_created": 2,
        "emqx_packets_connect": 2,
        "emqx_packets_connack_sent": 2,
        "emqx_packets_subscribe_received": 1,
        "emqx_packets_suback_sent": 1,
        "emqx_packets_publish_received": 6,
        "emqx_packets_publish_sent": 6,
        "emqx_packets_puback_sent": 2,
        "emqx_packets_puback_received": 5,
        "emqx_packets_pubrec_sent": 3,
        "emqx_packets_pubrel_received": 3,
        "emqx_packets_pubcomp_sent": 3,
        "emqx_messages_publish": 6,
        "emqx_messages_delivered": 6,
        "emqx_messages_acked": 5,
        "emqx_messages_dropped": 0,
        "emqx_delivery_dropped": 0,
        "emqx_client_subscribe": 1,
        "emqx_client_auth_anonymous": 2,
        "emqx_authentication_success_anonymous": 2,
    }
    found = eventually(page, lambda told: expected.items() <= told.items())
    assert found["emqx_bytes_received"] > 100


def test_a_topic_is_traced_in_hexadecimal_digits(operate, dial, both):
    """O2: only what the topic means, payloads as configured."""
    broker = operate("trace.payload_encode = hex\n")
    broker.ctl("trace", "start", "site", "topic", "site/#", "site.log")
    subscriber, publisher = dial(broker, "sub", version=both), dial(broker, "pub", version=both)
    subscriber.subscribe("site/1", 1)
    publisher.publish("other/1", b"secret", 1)
    publisher.publish("site/1", b"\x00\xffA", 1)
    assert subscriber.receive().payload == b"\x00\xffA"
    file = broker.workdir / "log" / "site.log"
    lines = eventually(lambda: file.read_text().splitlines(), lambda found: len(found) >= 3)
    assert len(lines) == 3 and "secret" not in "".join(lines)
    assert "clientid: sub" in lines[0] and "SUBSCRIBE" in lines[0]
    assert any("received clientid: pub" in line and "00ff41" in line.lower().replace(" ", "") for line in lines)
    broker.ctl("trace", "stop", "site")


def test_the_log_as_it_was_asked_for(operate, dial):
    """O1: microseconds since 1970 in text, RFC 3339 in another zone in JSON, both at once."""
    broker = operate(
        "log { console { level = info, formatter = text, timestamp_format = epoch }, file { enable = true, level = info,"
        ' formatter = json, timestamp_format = rfc3339, time_offset = "+03:00", path = "log/x.log" } }\n'
    )
    dial(broker, "seen").end()
    file = broker.workdir / "log" / "x.log"

    def note():
        whole = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        rows = [json.loads(line) for line in whole]
        return [row for row in rows if row["msg"] == "client_disconnected" and row["clientid"] == "seen"]

    assert eventually(note)[0]["time"].endswith("+03:00")
    line = eventually(lambda: re.search(rb"^(\d+) \[info\] msg: client_connected.*clientid: seen", broker.output, re.M))
    assert abs(int(line[1]) / 1e6 - time.time()) < 60


def test_five_hundred_and_twelve_topics_are_counted(operate, dial):
    """O7: as many as EMQX has, with what paho sent by topic and QoS."""
    broker = operate()
    answers = broker.say({"cmd": "topic_metrics.register", "topic": f"t/{number}"} for number in range(513))
    assert [answer["ok"] for answer in answers] == [True] * 512 + [False]
    subscriber, publisher = dial(broker), dial(broker)
    subscriber.subscribe("t/7", 1)
    for qos in (0, 1, 2):
        publisher.publish("t/7", b"m", qos)
        publisher.publish("t/8", b"m", qos)
    subscriber.payloads(3)

    def counts(topic):
        rows = broker.ask("topic-metrics", "list")["topic_metrics"]
        metrics = next(row["metrics"] for row in rows if row["topic"] == topic)
        names = ("in", "out", "dropped", "qos0.in", "qos1.in", "qos2.in", "qos0.out", "qos1.out", "qos2.out")
        return [metrics[f"messages.{name}.count"] for name in names]

    assert eventually(lambda: counts("t/7"), lambda found: found[1] == 3) == [3, 3, 0, 1, 1, 1, 1, 2, 0]
    assert counts("t/8") == [3, 0, 3, 1, 1, 1, 0, 0, 0]
