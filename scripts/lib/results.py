#!/usr/bin/env python3
"""Labels the load generator's JSON lines, and prints tables of them.

label    reads one line, prints it with server, scenario and round added
table    reads lines, prints one row each
compare  reads lines, prints one row a scenario: medians of every server, and ratios to the first server named
"""

import argparse
import json
import statistics
import sys


def lines():
    return [json.loads(line) for line in sys.stdin if line.strip()]


def cost_us(run):
    """Broker CPU-microseconds per delivered message, or per connection where there are no messages."""
    if run["traffic"]["delivered"]:
        return (run.get("broker") or {}).get("cpu_us_per_delivery")
    return run["connect"]["broker_cpu_us"]


def per_second(run):
    """Messages delivered, or connections opened, a second."""
    delivered = run["traffic"]["delivered_per_second"]
    return delivered if run["traffic"]["delivered"] else run["connect"]["per_second"]


def latency(run, field):
    """Of delivery, or of the answer to CONNECT where there are no messages."""
    of = run["latency"]
    return (of.get("end_to_end") or of.get("connack") or {}).get(field)


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def print_table(header, rows):
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for index, row in enumerate(table):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))


def label(options):
    for run in lines():
        for key in ("server", "scenario", "round", "commit"):
            if getattr(options, key) is not None:
                run["label" if key == "scenario" else key] = getattr(options, key)
        print(json.dumps(run, separators=(",", ":")))


def table(_options):
    rows = []
    for run in lines():
        rows.append(
            [
                run["label"],
                number(per_second(run)),
                number(cost_us(run), 2),
                number(latency(run, "p50_us")),
                number(latency(run, "p99_us")),
                run["verdict"],
            ]
        )
    print_table(["scenario", "per second", "broker CPU us each", "p50 us", "p99 us", "checks"], rows)
    print("per second and each: of delivered messages; in conn of connections")


def compare(options):
    runs = lines()
    floor = options.servers[0]
    rows = []
    for scenario in dict.fromkeys(run["label"] for run in runs):
        cells = [scenario]
        of = {
            server: {run["round"]: run for run in runs if run["label"] == scenario and run["server"] == server}
            for server in options.servers
        }
        for server in options.servers:
            costs = [cost for run in of[server].values() if (cost := cost_us(run)) is not None]
            bad = any(run["verdict"] != "passed" for run in of[server].values())
            cells.append(number(statistics.median(costs), 2) + ("!" if bad else " ") if costs else "-")
        for server in options.servers[1:]:
            # Runs of one round are next to each other in time: the machine's speed wanders less between them.
            ratios = [
                cost_us(run) / base
                for turn, run in of[server].items()
                if turn in of[floor] and (base := cost_us(of[floor][turn])) and cost_us(run) is not None
            ]
            cells.append(number(statistics.median(ratios), 2) if ratios else "-")
            cells.append(f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-")
        rows.append(cells)
    header = ["scenario", *(f"{server} us" for server in options.servers)]
    for server in options.servers[1:]:
        header += [f"{server}/{floor}", "range"]
    print_table(header, rows)
    print("us: server CPU per delivered message (conn: per connection), median of the rounds; ! : a run failed its checks")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("label")
    command.add_argument("--server")
    command.add_argument("--scenario")
    command.add_argument("--round", type=int)
    command.add_argument("--commit")
    command.set_defaults(run=label)
    commands.add_parser("table").set_defaults(run=table)
    command = commands.add_parser("compare")
    command.add_argument("servers", nargs="+")
    command.set_defaults(run=compare)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
