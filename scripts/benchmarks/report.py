"""docs/performance.md: the machine, the table, and what every contender took."""

import datetime
import json
import os
import pathlib
import re
import sys

from .measure import MIB, fail, first_line
from .servers import rclone

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = REPO / "docs/performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def machine_facts(bench):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return [
        f"{os.cpu_count()} cores ({cpu.group(1) if cpu else 'unknown'}), {int(memory.group(1)) // MIB} GiB memory",
        f"Linux {os.uname().release}, {first_line('findmnt', '-no', 'FSTYPE', '-T', bench.work)} below",
        "; ".join(
            (
                first_line(str(bench.keepfs), "--version"),
                first_line("bindfs", "--version"),
                first_line("mergerfs", "--version"),
                first_line("gocryptfs", "--version").split(";")[0],
                first_line("restic", "version").split(" compiled")[0],
                first_line("borg", "--version"),
                first_line(str(rclone()), "version"),
            )
        ),
    ]


def write_page(bench, names):
    """Puts the figures between the two markers; those of `names` that were not run keep theirs."""
    today = datetime.date.today().isoformat()
    kept = []
    text = PAGE.read_text() if PAGE.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        fail(f"{PAGE}: the markers {BEGIN} and {END} are missing")
    before, rest = text.split(BEGIN, 1)
    old, after = rest.split(END, 1)
    found = re.search(r"<!-- data: (.*?) -->", old, re.S)
    if found:
        kept = [r for r in json.loads(found.group(1)) if r["row"] in names]
    run_now = {r["row"] for r in bench.results}
    for result in bench.results:
        result["date"] = today
    rows = [r for name in names for r in (bench.results if name in run_now else kept) if r["row"] == name]
    lines = ["", f"Measured by `scripts/bench` with medians of {bench.runs} rounds on:", ""]
    lines += [f"- {fact}" for fact in machine_facts(bench)]
    lines += ["", "| work | bar | figure | verdict | date |", "|---|---|---|---|---|"]
    lines += [f"| {r['work']} | {r['bar']} | {r['figure']} | {r['verdict']} | {r['date']} |" for r in rows]
    lines += ["", "All contenders, where there are several (median; least to most):", ""]
    for r in rows:
        if r["details"]:
            lines.append(f"- {r['work']}")
            lines += [f"  - {line}" for line in r["details"]]
    lines += ["", f"<!-- data: {json.dumps(rows)} -->", ""]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(before + BEGIN + "\n".join(lines) + END + after)
    print(f"bench: written to {PAGE.relative_to(REPO)}", file=sys.stderr)
