#!/usr/bin/env python3
"""Compares runs of the load generator with what two witnesses saw.

Usage: agreement.py NAME TIMESTAMPS RUN.json PACKETS.json RECEIVED SENT

TIMESTAMPS is the run's `--timestamps`; RECEIVED and SENT are the broker's counts of messages. Prints a row for each
figure; exit status 1 if one disagrees. Latencies that end with the generator's reading are for information: the row says
how much later than the packet that was.
"""

import json
import sys
from pathlib import Path

# Of what the packets show.
TOLERANCE = 0.05
# Both sides measure for themselves what lies between the wall clock and the monotonic one, each to within some hundred
# nanoseconds, and the generator keeps three digits.
CLOCKS_US = 1.0


def main() -> int:
    name, timestamps = sys.argv[1:3]
    run, packets = (json.loads(Path(path).read_text()) for path in sys.argv[3:5])
    received, sent = map(int, sys.argv[5:7])
    agreed = True

    def row(figure: str, generator: float, packet: float, broker: float | None, verdict: bool | str) -> None:
        nonlocal agreed
        if isinstance(verdict, bool):
            agreed &= verdict
            verdict = "agrees" if verdict else "DISAGREES"
        cells = [f"{value:,.1f}" if value is not None else "-" for value in (generator, packet, broker)]
        print(f"{name:16}  {figure:22}  {cells[0]:>12}  {cells[1]:>12}  {cells[2]:>12}  {verdict}")

    def close(one: float, other: float, besides: float = 0.0) -> bool:
        return abs(one - other) <= TOLERANCE * other + besides

    published, delivered = run["traffic"]["sent_in_all"], run["checks"]["delivered"]
    row("messages published", published, packets["published"], received, published == packets["published"] == received)
    row("messages delivered", delivered, packets["handed_over"], sent, delivered == packets["handed_over"] == sent)
    rate = packets["handed_over"] / packets["seconds"]
    row("delivered a second", run["traffic"]["delivered_per_second"], rate, None, close(run["traffic"]["delivered_per_second"], rate))
    for point, seen in packets["latency_us"].items():
        reported = run["latency"]["end_to_end"][f"{point}_us"]
        if timestamps == "kernel":
            row(f"latency {point}, us", reported, seen, None, close(reported, seen, CLOCKS_US))
        else:
            row(f"read after {point}, us", reported, seen, None, f"{reported - seen:+,.1f} us")
    if timestamps == "kernel" and (run["generator"]["unstamped"] or run["generator"]["clock_steps"]):
        print(f"{name}: {'; '.join(run['warnings'])}")
        agreed = False
    if run["verdict"] != "passed":
        print(f"{name}: the run itself is {run['verdict']}: {'; '.join(run['reasons'])}")
    return 0 if agreed and run["verdict"] == "passed" else 1


sys.exit(main())
