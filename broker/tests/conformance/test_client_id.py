"""Client identifiers: characters, lengths, the empty one."""

import pytest

from packets import V5, V31, V311, Connect

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    "text", [ALPHABET[:23], ALPHABET[23:46], ALPHABET[-23:], "x"], ids=["0-m", "n-J", "D-Z", "one"]
)
def test_identifiers_every_server_must_allow(connect, version, text):
    """[MQTT-3.1.3-5] [MQTT3-3.1.3-5]"""
    connect(text, version).ping()


@pytest.mark.parametrize("length", [24, 255, 65535])
def test_long_identifiers(connect, current, length):
    """P20: up to 65535 bytes."""
    connect("l" * length, current).ping()


@pytest.mark.parametrize("text", ["a/b", "spaced id", "a+b#c", "naïve-名前-\U0001f980", "\ufeffbom", "$SYS"])
def test_unusual_characters(connect, unique, current, text):
    """[MQTT-3.1.3-4] [MQTT3-3.1.3-4] any UTF-8 string will do, and identifies the session as it stands."""
    connect(unique[-8:] + text, current, session=60).drop()
    connect(unique[-8:] + text, current, session=60, resume=True).ping()


def test_byte_order_mark_is_part_of_the_identifier(connect, unique):
    """[MQTT-1.5.4-3] [MQTT3-1.5.3-3] not stripped: a session of its own."""
    connect("\ufeff" + unique, session=60).goodbye()
    connect(unique, clean=False, session=60, present=False)


def test_empty_identifier_gets_a_new_one(raw):
    """[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]"""
    clients = [raw(V5) for _ in range(3)]
    assigned = {each.connect(Connect("")).properties["assigned_client_identifier"] for each in clients}
    assert len(assigned) == 3
    assert "" not in assigned


@pytest.mark.parametrize("expiry", [0, 60])
def test_assigned_identifier_names_the_session(raw, connect, expiry):
    """[MQTT-3.1.3-2] [MQTT-3.2.2-16] the client may come back under the name it was given."""
    client = raw(V5)
    connack = client.connect(Connect("", properties={"session_expiry_interval": expiry}))
    name = connack.properties["assigned_client_identifier"]
    client.goodbye()
    connect(name, clean=False, session=60, present=expiry > 0)


def test_given_identifier_is_not_echoed(raw, unique):
    """3.2.2.3.7: assigned means that the client had none."""
    assert "assigned_client_identifier" not in raw(V5).connect(Connect(unique)).properties


def test_empty_identifier_in_311(raw):
    """[MQTT3-3.1.3-6] two of them do not take over each other."""
    first, second = raw(V311), raw(V311)
    assert first.connect(Connect("", V311)).reason == 0
    assert second.connect(Connect("", V311)).reason == 0
    first.ping()
    second.ping()


def test_empty_identifier_without_clean_session(raw):
    """[MQTT3-3.1.3-7] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]"""
    client = raw(V311)
    connack = client.connect(Connect("", V311, clean=False))
    assert (connack.reason, connack.session_present) == (2, False)
    client.expect_closed()


def test_empty_identifier_in_31(raw):
    """P20: MQTT 3.1 asks for 1 to 23 characters; code 2 refuses the empty one, or the Server is lenient."""
    client = raw(V31)
    if client.connect(Connect("", V31)).reason == 0:
        client.ping()
    else:
        assert client.connack.reason == 2
        client.expect_closed()


def test_identifier_over_the_configured_length(raw, broker_with, current):
    """P20 [MQTT-3.1.3-8] [MQTT3-3.1.3-9] CONNACK 0x85, in 3.1.1 code 2."""
    client = raw(current, broker_with("mqtt.max_clientid_len=23"))
    assert client.connect(Connect("x" * 24, current)).reason == (0x85 if current == V5 else 2)
    client.expect_closed()


def test_identifier_of_the_configured_length(connect, broker_with, current):
    """P20"""
    connect("y" * 23, current, to=broker_with("mqtt.max_clientid_len=23")).ping()
