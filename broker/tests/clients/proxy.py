"""A proxy that says by the PROXY protocol where its connections come from, and otherwise passes bytes on.

Absent: pytest, MQTT.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterable

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PIECE_BYTES = 4096


def line(source: str, port: int) -> bytes:
    """A header of version 1."""
    version = ipaddress.ip_address(source).version
    return f"PROXY TCP{4 if version == 4 else 6} {source} {source} {port} 1883\r\n".encode()


def binary(source: str, port: int, more: bytes = b"") -> bytes:
    """A header of version 2, with `more` behind the addresses."""
    address = ipaddress.ip_address(source)
    body = address.packed * 2 + struct.pack(">HH", port, 1883) + more
    return SIGNATURE + bytes([0x21, 0x11 if address.version == 4 else 0x21]) + struct.pack(">H", len(body)) + body


def local() -> bytes:
    """What a proxy sends that speaks for itself."""
    return SIGNATURE + b"\x20\x00\x00\x00"


class Proxy:
    """Listens, and puts `header` before every connection that it passes on to a port of the broker, in these pieces."""

    def __init__(self, port: int, header: Iterable[bytes]):
        self.port_behind = port
        self.header = list(header)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                inner, _ = self.listener.accept()
            except OSError:
                return  # closed
            outer = socket.create_connection(("127.0.0.1", self.port_behind))
            outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [inner, outer]
            for piece in self.header:
                outer.sendall(piece)
            for source, target in ((inner, outer), (outer, inner)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(PIECE_BYTES):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of both is closed

    def close(self) -> None:
        for each in self.sockets:
            each.close()
