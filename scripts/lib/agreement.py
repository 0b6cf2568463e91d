#!/usr/bin/env python3
"""Compares a run of the load generator with what two witnesses saw.

Usage: agreement.py NAME RUN.json PACKETS.json RECEIVED SENT

RECEIVED and SENT are the broker's counts of messages. Prints a row for each figure; exit status 1 if one disagrees.
"""

import json
import sys
from pathlib import Path

# Of the generator's figure, and of what the packets show.
TOLERANCE = 0.05
# The packet is there before the generator can have read it: it is in the middle of a turn, in which it also sends.
READING_US = 25


def main() -> int:
    name, run, packets, received, sent = sys.argv[1], *(json.loads(Path(path).read_text()) for path in sys.argv[2:4]), *map(int, sys.argv[4:6])
    agreed = True

    def row(figure: str, generator: float, packet: float, broker: float | None, agrees: bool) -> None:
        nonlocal agreed
        agreed &= agrees
        cells = [f"{value:,.1f}" if value is not None else "-" for value in (generator, packet, broker)]
        print(f"{name:16}  {figure:22}  {cells[0]:>12}  {cells[1]:>12}  {cells[2]:>12}  {'agrees' if agrees else 'DISAGREES'}")

    def close(one: float, other: float) -> bool:
        return abs(one - other) <= TOLERANCE * other

    published, delivered = run["traffic"]["sent_in_all"], run["checks"]["delivered"]
    row("messages published", published, packets["published"], received, published == packets["published"] == received)
    row("messages delivered", delivered, packets["handed_over"], sent, delivered == packets["handed_over"] == sent)
    rate = packets["handed_over"] / packets["seconds"]
    row("delivered a second", run["traffic"]["delivered_per_second"], rate, None, close(run["traffic"]["delivered_per_second"], rate))
    for point, seen in packets["latency_us"].items():
        reported = run["latency"]["end_to_end"][f"{point}_us"]
        row(f"latency {point}, us", reported, seen, None, close(reported, seen) or 0 <= reported - seen <= READING_US)
    if run["verdict"] != "passed":
        print(f"{name}: the run itself is {run['verdict']}: {'; '.join(run['reasons'])}")
    return 0 if agreed and run["verdict"] == "passed" else 1


sys.exit(main())
