#!/usr/bin/env python3
"""Labels the load generator's JSON lines, and prints tables of them.

label    reads one line, prints it with server, scenario, round, what was built and what it asked of the kernel added
floors   reads the lines of one scenario and round, prints them with the better floor added
table    reads lines, prints one row each
compare  reads lines, prints one row a scenario: medians of every server, and ratios to the better floor
"""

import argparse
import json
import re
import statistics
import sys
from pathlib import Path

FLOORS = ("floor", "floor-epoll")
# The first lines of the broker's output that say what it is.
BUILT = re.compile(r"^ringmq (\S+) \(([^)]*)\), (rustc .*?), features: (.*)$", re.MULTILINE)
DRIVER = re.compile(r"^ *driver +(\S+)", re.MULTILINE)


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


def build_of(options):
    """What was measured: all that is known of it."""
    build = {}
    said = options.log.read_text(errors="replace") if options.log else ""
    if found := BUILT.search(said):
        build |= {"version": found[1], "commit": found[2], "rustc": found[3], "features": found[4].split(", ")}
        build["dirty"] = "dirty" in found[2] or "dirty" in (options.commit or "")
    if found := DRIVER.search(said):
        build["driver"] = found[1]
    if options.binary:
        build |= {"binary_bytes": options.binary.stat().st_size}
    if options.peer:
        build |= {"peer": options.peer}
    if options.profile:
        build |= {"profile": options.profile}
    if options.build_seconds:
        build |= {"build_seconds": options.build_seconds}
    if options.instructions:
        build |= {"instructions": json.loads(options.instructions.read_text())}
    return build


def per_delivery(counts, run):
    """Counts of a run of its own as shares of that run's deliveries: both are rates, over windows of their own."""
    rate = run["traffic"]["delivered_per_second"]
    if not rate:
        return None
    over = {"system_calls": "traced_seconds", "ring_requests": "traced_seconds"}
    each = {
        name: None if counts[name] is None else round(counts[name] / counts[over.get(name, "seconds")] / rate, 6)
        for name in ("system_calls", "ring_requests", "wake_ups", "preemptions")
    }
    return each | {"segments": run["traffic"].get("segments_per_delivery"), "seconds": counts["seconds"]}


def label(options):
    for run in lines():
        for key in ("server", "scenario", "round", "commit"):
            if getattr(options, key) is not None:
                run["label" if key == "scenario" else key] = getattr(options, key)
        if build := build_of(options):
            run["build"] = build
        if options.kernel and options.kernel.exists() and (counted := json.loads(options.kernel.read_text())):
            run["kernel_per_delivery"] = counted
        print(json.dumps(run, separators=(",", ":")))


def kernel(options):
    (run,) = lines()
    print(json.dumps(per_delivery(json.loads(options.counts.read_text()), run)))


def better_floor(runs):
    """Of the floors among runs of one scenario and round, the one that cost less: its name and cost, or None."""
    costs = [
        (cost, run["server"])
        for run in runs
        if run["server"] in FLOORS and run["verdict"] == "passed" and (cost := cost_us(run))
    ]
    return min(costs) if costs else None


def floors(_options):
    runs = lines()
    best = better_floor(runs)
    for run in runs:
        if best and (cost := cost_us(run)) is not None:
            run["floor"] = {"server": best[1], "cpu_us": best[0], "ratio": round(cost / best[0], 4)}
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


def middle(values, digits):
    present = [value for value in values if value is not None]
    return number(statistics.median(present), digits) if present else "-"


def print_latencies(runs, servers):
    """Of the scenarios at a given rate: in a closed loop a faster server has more messages under way, not later ones."""
    fields = ("p50_us", "p99_us", "p999_us", "max_us")
    rows = []
    for scenario in dict.fromkeys(run["label"] for run in runs):
        for server in servers:
            of = [run for run in runs if run["label"] == scenario and run["server"] == server]
            if of and of[0]["scenario"]["rate"]:
                rows.append([scenario, server, *(middle([latency(run, field) for run in of], 0) for field in fields)])
    if rows:
        print_table(["scenario", "server", "p50 us", "p99 us", "p99.9 us", "max us"], rows)
        print("latency of delivery from when a message was due, medians of the rounds")
        print()


def compare(options):
    runs = lines()
    rows = []
    for scenario in dict.fromkeys(run["label"] for run in runs):
        of_scenario = [run for run in runs if run["label"] == scenario]
        # Runs of one round are next to each other in time: the machine's speed wanders less between them.
        floor = {
            turn: better_floor([run for run in of_scenario if run["round"] == turn])
            for turn in {run["round"] for run in of_scenario}
        }
        for server in options.servers:
            of = [run for run in of_scenario if run["server"] == server]
            if not of:
                continue
            ratios = [
                cost_us(run) / floor[run["round"]][0]
                for run in of
                if floor[run["round"]] and cost_us(run) is not None
            ]
            asked = [run.get("kernel_per_delivery") or {} for run in of]
            rows.append(
                [
                    scenario,
                    server + ("!" if any(run["verdict"] != "passed" for run in of) else ""),
                    middle([per_second(run) for run in of], 0),
                    middle([cost_us(run) for run in of], 2),
                    middle(ratios, 2),
                    f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-",
                    middle([run["traffic"].get("segments_per_delivery") for run in of], 3),
                    *(
                        middle([each.get(name) for each in asked], 3)
                        for name in ("system_calls", "ring_requests", "wake_ups")
                    ),
                ]
            )
    header = ["scenario", "server", "per second", "CPU us", "of floor", "range", "segments", "calls", "ring", "wake-ups"]
    print_table(header, rows)
    print(
        "CPU us: of the server, per delivered message (conn: per connection), median of the rounds; of floor: its ratio\n"
        "to the better floor of the same round; segments, calls, ring, wake-ups: TCP segments, system calls, io_uring\n"
        "requests and sleeps of the server per delivered message; ! : a run failed its checks"
    )
    print()
    print_latencies(runs, options.servers)
    peers = {run["server"]: run["build"]["peer"] for run in runs if "peer" in run.get("build", {})}
    for server, about in peers.items():
        print(f"{server}: {about}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("label")
    command.add_argument("--server")
    command.add_argument("--scenario")
    command.add_argument("--round", type=int)
    command.add_argument("--commit")
    command.add_argument("--log", type=Path, help="output of the server: its version, compiler, features, driver")
    command.add_argument("--binary", type=Path, help="program of the server, for its size")
    command.add_argument("--peer", help="version and configuration of another broker")
    command.add_argument("--profile", help="profile it was built with")
    command.add_argument("--build-seconds", type=float, help="time that building it took")
    command.add_argument("--instructions", type=Path, help="counts written by scripts/instructions --json")
    command.add_argument("--kernel", type=Path, help="counts written by the command kernel")
    command.set_defaults(run=label)
    command = commands.add_parser("kernel", help="reads one line, prints counts per delivery")
    command.add_argument("counts", type=Path, help="counts written by kernel.py during that run")
    command.set_defaults(run=kernel)
    commands.add_parser("floors").set_defaults(run=floors)
    commands.add_parser("table").set_defaults(run=table)
    command = commands.add_parser("compare")
    command.add_argument("servers", nargs="+")
    command.set_defaults(run=compare)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
