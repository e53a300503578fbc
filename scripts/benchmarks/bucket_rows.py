"""The rows of the store in a bucket: backup and restore beside restic and rclone.

Every contender talks to the same kind of server on this machine, `rclone serve s3`, started
anew for each measurement, and finds the files to read out of the caches.
"""

import os
import shutil
import time

from .bucket_tools import KeepfsInBucket, Rclone, Restic
from .data import add_copies, digest, make_mixed, make_source_tree
from .measure import MIB, drop_caches, fail, median_table, run, spread, tree_size, verdict
from .servers import BucketServer, RequestCounter

SMALL_FILE_BYTES = 4096


def mixed_tree(bench):
    """Photos, source, text, and copies of some of it."""
    data = bench.work / "bucket-data"
    make_mixed(data, bench.mib * MIB, 3)
    add_copies(data, bench.mib * MIB, 4)
    return data, "mixed files"


def small_tree(bench):
    """Many small files, some larger: as source is."""
    data = bench.work / "bucket-data"
    make_source_tree(data, bench.files, bench.files * SMALL_FILE_BYTES, 17)
    return data, "small files"


def shape(data):
    """How many files and MiB, in words for the table."""
    files = sum(len(names) for _, _, names in os.walk(data))
    return f"{files:,}", tree_size(data) / MIB


def first_backup(bench, server, kind, data, port=None):
    """A repository from nothing; returns the tool and the seconds."""
    tool = kind(bench, bench.work / "tool", port or server.port)
    server.start()
    tool.prepare(data)
    drop_caches()
    start = time.monotonic()
    tool.backup(data)
    return tool, time.monotonic() - start


def count_requests(bench, server, kind, data):
    """The same backup once more through the counter, outside the clock."""
    server.empty()
    with RequestCounter(server.port) as counter:
        tool, _ = first_backup(bench, server, kind, data, counter.port)
        counts = dict(counter.counts)
        tool.remove()
    server.empty()
    return counts


def backups(bench, data):
    """Times, stored bytes and requests of each contender's first backup."""
    kinds = (KeepfsInBucket, Restic, Rclone)
    times = {kind.name: [] for kind in kinds}
    stored, requests = {}, {}
    server = bench.serve(BucketServer(bench.work / "server"))
    for number, kind in bench.rounds(kinds):
        tool, seconds = first_backup(bench, server, kind, data)
        times[kind.name].append(seconds)
        if kind is KeepfsInBucket and number == 0:
            tool.keepfs("check", "--read-data", tool.root)
        tool.close()
        stored[kind.name] = tree_size(server.bucket)
        tool.remove()
        server.empty()
    for kind in kinds:
        requests[kind.name] = count_requests(bench, server, kind, data)
    server.remove()
    return times, stored, requests


def record_backups(bench, row, what, data, measured):
    times, stored, requests = measured
    files, mib = shape(data)
    medians = median_table(times)
    ratio = medians["restic"] / medians["keepfs"]
    bench.record(
        row,
        f"first backup of {files} {what} ({mib:.0f} MiB) to an S3 server",
        "at least 2 × `restic backup`",
        f"{ratio:.2f} × restic; {medians['rclone copy'] / medians['keepfs']:.2f} × rclone",
        verdict(ratio >= 2),
        (
            f"{n}: {m:.2f} s ({spread(times[n])}), {mib / m:.0f} MiB/s, "
            f"stored {stored[n] / MIB:.0f} MiB, {shown(requests[n])}"
            for n, m in medians.items()
        ),
    )


def shown(counts):
    parts = ", ".join(f"{count:,} {method}" for method, count in sorted(counts.items()))
    return f"{sum(counts.values()):,} requests ({parts})"


def row_mixed(bench):
    """First backup of 2 GiB mixed files to an S3 server, against restic and rclone."""
    data, what = mixed_tree(bench)
    record_backups(bench, "s3-mixed", what, data, backups(bench, data))
    shutil.rmtree(data)


def row_small(bench):
    """First backup of 100,000 small files to an S3 server: time and requests."""
    data, what = small_tree(bench)
    measured = backups(bench, data)
    record_backups(bench, "s3-small", what, data, measured)
    requests = {name: sum(counts.values()) for name, counts in measured[2].items()}
    share = requests["keepfs"] / requests["rclone copy"]
    bench.record(
        "s3-small",
        "… requests of it",
        "at most 0.1 of those of `rclone copy`",
        f"{share:.4f} of rclone",
        verdict(share <= 0.1),
        (f"{name}: {count:,}" for name, count in requests.items()),
    )
    shutil.rmtree(data)


def row_restore(bench):
    """The whole tree back from the bucket alone, against restic restore."""
    KeepfsInBucket.need_rebuild(bench)
    # What was made and restored stays until the end: ext4 does not give out an inode again
    # within a minute, and would search for others on the next one's time.
    done = []
    for make in (mixed_tree, small_tree):
        data, what = make(bench)
        done.append(record_restores(bench, what, data))
    for place in done:
        shutil.rmtree(place)


def record_restores(bench, what, data):
    """Returns where everything is that it made."""
    expected = digest(data)
    servers = {}
    for kind in (KeepfsInBucket, Restic):
        server = bench.serve(BucketServer(bench.work / f"server-{kind.name}"))
        tool = kind(bench, bench.work / f"tool-{kind.name}", server.port)
        server.start()
        tool.prepare(data)
        tool.backup(data)
        tool.close()
        server.stop()
        servers[tool] = server
    times = {tool.name: [] for tool in servers}
    for number, tool in bench.rounds(list(servers)):
        servers[tool].start()
        tool.forget_here()
        tool.restored = tool.home / f"restored-{number}"
        drop_caches()
        start = time.monotonic()
        restored = tool.restore(data)
        times[tool.name].append(time.monotonic() - start)
        if number == 0 and digest(restored) != expected:
            fail(f"{tool.name}: what came back differs")
        servers[tool].stop()
    files, mib = shape(data)
    done = bench.work / f"done-{what.split()[0]}"
    done.mkdir()
    for tool, server in servers.items():
        tool.close()
        for home in (tool.home, server.home):
            home.rename(done / home.name)
    data.rename(done / data.name)
    medians = median_table(times)
    ratio = medians["restic"] / medians["keepfs"]
    bench.record(
        "s3-restore",
        f"restore of {files} {what} ({mib:.0f} MiB) from an S3 server, nothing kept here",
        "at least 1.5 × `restic restore`",
        f"{ratio:.2f} ×",
        verdict(ratio >= 1.5),
        (f"{n}: {m:.2f} s ({spread(times[n])}), {mib / m:.0f} MiB/s" for n, m in medians.items()),
    )
    return done


def row_change(bench):
    """One file of 100,000 changed, until it is durable in the bucket."""
    data, _ = small_tree(bench)
    trees, servers = {}, {}
    for kind in (KeepfsInBucket, Restic):
        # A tree for each: what the one changes is not to be found by the other.
        tree = bench.work / f"tree-{kind.name}"
        run("cp", "-a", data, tree)
        server = bench.serve(BucketServer(bench.work / f"server-{kind.name}"))
        tool = kind(bench, bench.work / f"tool-{kind.name}", server.port)
        server.start()
        tool.prepare(tree)
        tool.backup(tree)
        trees[tool], servers[tool] = tree, server
    times = {tool.name: [] for tool in servers}
    for number, tool in bench.rounds(list(servers)):
        run("sync")
        before = tree_size(servers[tool].bucket)
        top = tool.root if isinstance(tool, KeepfsInBucket) else trees[tool]
        start = time.monotonic()
        with open(top / "d00/m00/file_7.rs", "w") as file:
            file.write(f"// round {number} of {tool.name}\n" * 100)
        if isinstance(tool, KeepfsInBucket):
            tool.keepfs("wait", tool.root)
        else:
            tool.backup(trees[tool])
        times[tool.name].append(time.monotonic() - start)
        if tree_size(servers[tool].bucket) <= before:
            fail(f"{tool.name}: nothing of the change is in the bucket")
    for tool, server in servers.items():
        tool.remove()
        server.remove()
        shutil.rmtree(trees[tool])
    files, mib = shape(data)
    medians = median_table(times)
    ratio = medians["restic"] / medians["keepfs"]
    bench.record(
        "s3-change",
        f"one file changed of {files} ({mib:.0f} MiB), until it is in the bucket",
        "at least 20 × `restic backup`",
        f"{ratio:.1f} ×",
        verdict(ratio >= 20),
        (f"{n}: {m:.3f} s ({spread(times[n])})" for n, m in medians.items()),
    )
    shutil.rmtree(data)


ROWS = {
    "s3-mixed": row_mixed,
    "s3-small": row_small,
    "s3-restore": row_restore,
    "s3-change": row_change,
}
