"""Running commands and timing them: what every row is made of."""

import os
import pathlib
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


def fail(message):
    sys.exit(f"bench: {message}")


def run(*command, **options):
    """Runs a command that must succeed; returns what it printed."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(part) for part in command], capture_output=True, **options)
    if done.returncode:
        said = (done.stderr or b"")[-2000:]
        fail(f"{' '.join(map(str, command))}: exit {done.returncode}: {said.decode(errors='replace')}")
    return done.stdout


def timed(*command, **options):
    """Seconds that a command takes; it must succeed."""
    start = time.monotonic()
    run(*command, **options)
    return time.monotonic() - start


def drop_caches():
    run("sync")
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def tree_size(directory):
    return sum(
        os.lstat(os.path.join(top, name)).st_size
        for top, _, names in os.walk(directory)
        for name in names
    )


def is_mounted(path):
    wanted = str(path)
    with open("/proc/self/mountinfo") as table:
        return any(line.split(" ")[4] == wanted for line in table)


def mounts_below(directory):
    """Mountpoints, those mounted last first."""
    with open("/proc/self/mountinfo") as table:
        points = [line.split(" ")[4] for line in table]
    return [point for point in reversed(points) if point.startswith(f"{directory}/")]


def wait_until(what, condition, patience=3600):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            fail(f"waited {patience} s for {what}")
        time.sleep(0.02)


def median_table(times):
    return {name: statistics.median(values) for name, values in times.items()}


def spread(values):
    return f"{min(values):.3g} to {max(values):.3g}"


def verdict(ok):
    return "met" if ok else "**short**"


def first_line(*command):
    """What a program says of itself, for the page."""
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"
