"""Configuration in EMQX's words (C1, C2, C9, L7, L10): a broker that runs on it does what it says, as paho sees."""

from pathlib import Path

from operated import eventually

FILES = Path(__file__).parents[1] / "emqx"


def test_a_fresh_installation(operate, dial):
    """C1: loads with a warning for each group of settings that have no effect, and serves clients."""
    text = (FILES / "etc" / "emqx.conf").read_text()
    broker = operate(text, files={"base.hocon": (FILES / "etc" / "base.hocon").read_text()})
    dial(broker).subscribe("alive")
    checked = broker.run("check-config", "--config", "r.conf")
    assert checked.returncode == 0
    assert checked.stdout == "the configuration is right (3 warnings)\n"
    for told in (
        "without meaning here: node.cookie\n",
        "not available yet: cluster\n",
        "not available yet: dashboard\n",
    ):
        assert told in checked.stderr


def test_every_key_has_its_effect(operate, dial, tmp_path):
    """C1 L7 L10: what a client can see of it."""
    # A machine that is busy with other tests must not look like an overload.
    variables = {"EMQX_LOG_DIR": str(tmp_path), "RINGMQ_OVERLOAD_LATENESS": "1m"}
    broker = operate((FILES / "all.conf").read_text(), listeners=1, variables=variables)
    client = dial(broker, "dev-1")
    told = client.properties
    # Those of the zone of its listener go before those of all.
    assert (told.ServerKeepAlive, told.MaximumPacketSize, told.ReceiveMaximum) == (77, 512 * 1024, 50)
    assert told.TopicAliasMaximum == 100
    client.subscribe("/".join("x" * 16), 1)
    client.subscribe("/".join("x" * 17), 1, granted=0x8F)
    client.subscribe("$exclusive/own", 1)
    client.subscribe("new/+", 1)
    client.publish("old/t", b"rewritten", 1)
    assert client.receive().topic == "new/t"
    client.publish("to/dev-1", b"subscribed for it", 1)
    assert client.receive().payload == b"subscribed for it"
    shown = broker.ask("clients", "show", "dev-1")
    assert (shown["zone"], shown["inflight_max"]) == ("devices", 16)
    assert broker.ask("listeners", "list")["listeners"][0]["max_connections"] == 1024000
    watcher = dial(broker)
    watcher.subscribe("$SYS/brokers/north@10.0.0.1/clients/dev-2/subscribed", 1)
    dial(broker, "dev-2").subscribe("t", 1)
    assert b'"topic":"to/dev-2"' in watcher.receive().payload
    eventually((tmp_path / "emqx.log").exists)
    eventually((tmp_path / "audit.log").exists)
    assert not (broker.workdir / "log").exists()


def test_what_emqx_wrote_while_it_ran(operate, dial):
    """C1 C3: its cluster.hocon in the data directory, with a deleted listener, older names and places of lists."""
    written = {"data/configs/cluster.hocon": (FILES / "cluster.hocon").read_text()}
    text = (FILES / "etc" / "emqx.conf").read_text()
    broker = operate(text, listeners=1, files=written, variables={"EMQX_REWRITE__1__DEST_TOPIC": "newer/$1"})
    client = dial(broker)
    assert client.properties.ServerKeepAlive == 90
    row = broker.ask("listeners", "list")["listeners"]
    assert [(each["id"], each["max_connections"]) for each in row] == [("tcp:fleet", 2000)]
    client.subscribe("newer/t", 1)
    client.publish("old/t", b"m", 1)
    assert client.receive().topic == "newer/t"
    told = broker.ask("conf", "show", "rewrite")[0]["origin"]
    assert "EMQX_REWRITE__1__DEST_TOPIC" in told
    broker.set("mqtt.server_keepalive", "60")
    # What ringmq does not have is still there for EMQX.
    assert "marked_for_deletion" in (broker.workdir / "data" / "configs" / "cluster.hocon").read_text()
