#!/usr/bin/env python3
"""Opens a rendered page in a headless browser without a network. Usage: page.py FILE PLOTS [HEADING...]

Fails if the page logs an error, refers to anything outside of itself, has fewer than PLOTS plots with marks in them, a
plot with a coordinate that is no number, or lacks one of the headings of plots.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Seconds after which the browser has failed.
BROWSER_SECONDS_MAX = 90
PLOT = re.compile(r"<svg\b.*?</svg>", re.DOTALL)


def opened(page: Path) -> tuple[str, str]:
    """The document as the browser has it, and what it logged."""
    with tempfile.TemporaryDirectory() as profile:
        ran = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
             f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=BROWSER_SECONDS_MAX, check=True,
        )  # fmt: skip
    return ran.stdout, ran.stderr


def problems(document: str, log: str, plots_least: int, headings: list[str]) -> list[str]:
    found = [line for line in log.splitlines() if "CONSOLE" in line]
    found += [f"refers to {each}" for each in re.findall(r"(?:src|href)=\"?[^\"# >]+", document)]
    plots = PLOT.findall(document)
    marked = [plot for plot in plots if "<circle" in plot]
    if len(marked) < plots_least:
        found.append(f"{len(marked)} plots with marks, at least {plots_least} expected")
    found += [f"a plot with {bad[1]}: {plot[:120]}" for plot in plots if (bad := re.search(r"\b(NaN|inf)\b", plot))]
    shown = "".join(plots)
    return found + [f"no plot of {heading}" for heading in headings if f">{heading}</text>" not in shown]


def main() -> int:
    page, plots_least, headings = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:]
    found = problems(*opened(page), plots_least, headings)
    for problem in found:
        print(f"{page.name}: {problem}")
    print(f"{page.name}: {'FAILED' if found else 'opens, with all plots'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
