"""The PROXY protocol (L7): clients come from where their proxy says, seen by paho through a proxy and by raw sockets."""

import socket
import time

import pytest

from operated import eventually
from packets import Connect
from proxy import Proxy, binary, line, local
from wire_client import Client

BANNED = 0x8A
REFUSED_BEFORE_5 = 0x87
"""What paho makes of return code 5 of MQTT 3.1.1."""

LISTENERS = """
listeners.tcp.default.enable = false
# Access rules go by the address of the proxy.
listeners.tcp.behind { bind = "127.0.0.1:0", proxy_protocol = true, access_rules = ["allow 127.0.0.0/8", "deny all"] }
listeners.tcp.direct { bind = "127.0.0.1:0" }
log.console { enable = true, level = warning }
"""


@pytest.fixture
def behind(operate, dial):
    """A broker that is reached through proxies, and clients that come by one with a header of their own."""

    class Behind:
        broker = operate(LISTENERS, listeners=2)
        port, direct = broker.ports
        proxies = []

        def dial(self, header, *arguments, **named):
            pieces = [header] if isinstance(header, bytes) else header
            self.proxies.append(Proxy(self.port, pieces))
            return dial(self.broker, *arguments, port=self.proxies[-1].port, **named)

        def where(self, client_id):
            row = self.broker.ask("clients", "show", client_id)
            return row["ip_address"], row["port"]

        def raw(self, header):
            """A connection that has sent these bytes."""
            stream = socket.create_connection(("127.0.0.1", self.port), 15)
            stream.sendall(header)
            return stream

    made = Behind()
    yield made
    for each in made.proxies:
        each.close()


def assert_closed(stream):
    with stream:
        try:
            assert stream.recv(1) == b""
        except ConnectionResetError:
            pass


def test_clients_come_from_where_the_proxy_says(behind, both):
    """L7: both versions and both families, in pieces and with more behind the addresses; on whatever shard they live."""
    for number, (header, expected) in enumerate(
        (
            (line("203.0.113.7", 4242), ("203.0.113.7", 4242)),
            (line("2001:db8::7", 65535), ("2001:db8::7", 65535)),
            (binary("203.0.113.8", 1), ("203.0.113.8", 1)),
            (binary("2001:db8::8", 2, more=b"\x20\x00\x05\x01\0\0\0\0"), ("2001:db8::8", 2)),
            ([bytes([byte]) for byte in binary("203.0.113.9", 3)], ("203.0.113.9", 3)),
        )
    ):
        for again in range(4):
            name = f"c{number}-{again}"
            client = behind.dial(header, name, version=both)
            assert behind.where(name) == expected
            client.subscribe(f"t/{name}", 1)
            client.publish(f"t/{name}", b"x", 1)
            assert client.receive().payload == b"x"


def test_a_proxy_that_speaks_for_itself(behind):
    """L7: LOCAL and UNKNOWN leave the address that the socket has."""
    for number, header in enumerate((local(), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n")):
        behind.dial(header, f"l{number}")
        assert behind.where(f"l{number}")[0] == "127.0.0.1"


def test_bans_and_events_go_by_that_address(behind, both):
    """L7 B1: a ban means the client's address and not the proxy's, and so does what is told of it."""
    watcher = behind.dial(local(), "watcher", version=both)
    watcher.subscribe("$SYS/brokers/+/clients/good/connected", 0)
    behind.broker.ctl("banned", "add", "peerhost", "203.0.113.66")
    refusal = BANNED if both == 5 else REFUSED_BEFORE_5
    behind.dial(line("203.0.113.66", 1), "bad", version=both, refusal=refusal)
    behind.dial(line("203.0.113.65", 1), "good", version=both)
    assert b'"ipaddress":"203.0.113.65"' in watcher.receive().payload


def test_what_is_no_header(behind, both):
    """L7: the connection is closed, counted and noted, and nothing else happens."""
    wrong = (
        b"PROXY TCP4 203.0.113.7\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        binary("203.0.113.7", 1)[:12] + b"\x31\x11\x00\x00",
        binary("203.0.113.7", 1)[:12] + b"\x21\x11\xff\xff",
        Connect("c", 5).encode(),
    )
    for header in wrong:
        assert_closed(behind.raw(header))
    behind.broker.await_counter("client.proxy_protocol_error", len(wrong))
    eventually(lambda: b"connection_refused" in behind.broker.output)
    assert b"proxy_protocol_header_malformed" in behind.broker.output
    # Clients that need no proxy are not asked for one.
    client = Client(("127.0.0.1", behind.direct), 5)
    assert client.connect(Connect("direct", 5)).reason == 0
    client.drop()


def test_the_time_for_a_header(behind):
    """L7: proxy_protocol_timeout, which can be changed while the broker runs, and a header that comes within it."""
    behind.broker.set("listeners.tcp.behind.proxy_protocol_timeout", "1s")
    row = behind.broker.ask("listeners", "list")["listeners"]
    behind.port = next(int(each["listen_on"].rpartition(":")[2]) for each in row if each["id"] == "tcp:behind")
    start = time.monotonic()
    silent, slow = behind.raw(b""), behind.raw(line("203.0.113.7", 1)[:-1])
    behind.dial(line("203.0.113.7", 1), "quick")
    assert_closed(silent)
    assert time.monotonic() - start >= 0.9
    assert_closed(slow)
    behind.broker.await_counter("client.proxy_protocol_error", 2)
    eventually(lambda: b"proxy_protocol_timeout" in behind.broker.output)
    assert behind.where("quick") == ("203.0.113.7", 1)
