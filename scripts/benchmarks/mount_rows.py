"""The rows of the mount: work in the live tree, history, and packs on a local disk."""

import hashlib
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

from .contenders import FILESYSTEMS, Keepfs, KeepfsOff
from .data import digest, make_mixed, make_source_tree
from .measure import MIB, drop_caches, fail, median_table, run, spread, timed, tree_size, verdict


def row_stream(bench):
    """Sequential write and read of 1 GiB, warm; random reads of 4 KiB."""
    mib = bench.size(1024, 128)
    count = bench.size(200_000, 20_000)
    contenders = bench.open(FILESYSTEMS, "stream")
    names = [c.name for c in contenders]
    writes, reads, randoms = ({n: [] for n in names} for _ in range(3))
    for number, c in bench.rounds(contenders):
        file = c.root / "big"
        file.unlink(missing_ok=True)
        run("sync")
        writes[c.name].append(bench.loop("write", file, mib))
        c.settle()
        bench.loop("read", file)
        reads[c.name].append(bench.loop("read", file))
        randoms[c.name].append(bench.loop("random", file, count))
        if number == 0:
            if file.stat().st_size != mib * MIB:
                fail(f"{c.name}: the file has the wrong size")
            first = hashlib.file_digest(open(file, "rb"), "blake2b").digest()
            if c is contenders[0]:
                expected = first
            if first != expected:
                fail(f"{c.name}: the file has the wrong content")
        file.unlink()
    for c in contenders:
        c.remove()
    for what, times in (
        (f"sequential write of {mib} MiB, with fsync", writes),
        (f"sequential read of {mib} MiB, warm", reads),
        (f"{count:,} random reads of 4 KiB, warm", randoms),
    ):
        medians = median_table(times)
        base = medians["directory below"]
        ratio = base / medians["keepfs"]
        bench.record(
            "stream",
            what,
            "at least 0.95 of the directory below",
            f"{ratio:.2f}",
            verdict(ratio >= 0.95),
            (f"{n}: {base / m:.2f} ({m:.3f} s, {spread(times[n])})" for n, m in medians.items()),
        )


def row_tree(bench):
    """Untar 15,000 source files, find, grep, rm."""
    files, size = bench.size((15_000, 300 * MIB), (1_500, 30 * MIB))
    tree = bench.work / "tree"
    make_source_tree(tree, files, size, 7)
    size = tree_size(tree)
    archive = bench.work / "tree.tar"
    run("tar", "cf", archive, "-C", bench.work, "tree")
    expected = digest(tree)
    contenders = bench.open(FILESYSTEMS, "tree")
    works = ("untar", "find -printf %s", "grep -r", "rm -rf")
    times = {work: {c.name: [] for c in contenders} for work in works}
    for number, c in bench.rounds(contenders):
        run("cat", archive)
        run("sync")
        times["untar"][c.name].append(timed("tar", "xf", archive, cwd=c.root))
        c.settle()
        top = c.root / "tree"
        start = time.monotonic()
        found = run("find", top, "-type", "f", "-printf", "%s\\n")
        times["find -printf %s"][c.name].append(time.monotonic() - start)
        if sum(map(int, found.split())) != size:
            fail(f"{c.name}: find saw other sizes")
        # grep answers 1 when there is no match: the needle is there once.
        times["grep -r"][c.name].append(timed("grep", "-r", "-m1", "file 17 ", top))
        if number == 0 and digest(top) != expected:
            fail(f"{c.name}: the unpacked tree differs")
        times["rm -rf"][c.name].append(timed("rm", "-rf", top))
        if isinstance(c, Keepfs) and not isinstance(c, KeepfsOff) and number == 0:
            kept = int(run("sh", "-c", "find .deleted -type f | wc -l", cwd=c.root))
            if kept != files:
                fail(f"keepfs kept {kept} of {files} files")
        c.settle()
    for c in contenders:
        c.remove()
    # The whole job is the row; its parts stand below it, each with its own figure.
    whole = "all four"
    times[whole] = {
        c.name: [sum(parts) for parts in zip(*(times[work][c.name] for work in works))]
        for c in contenders
    }
    for work in (whole, *works):
        medians = median_table(times[work])
        ours, off, bindfs = (medians[n] for n in ("keepfs", "keepfs --backup off", "bindfs"))
        met = bindfs / ours >= 2 and ours / off <= 1.25
        bench.record(
            "tree",
            f"{', '.join(works)} of {files:,} source files ({size // MIB} MiB)" if work == whole else f"… of it `{work}`",
            "at least 2 × as fast as bindfs; at most 1.25 × the time with `--backup off`",
            f"{bindfs / ours:.2f} × bindfs; {ours / off:.2f} × off",
            verdict(met),
            (
                f"{n}: {m:.3f} s ({spread(times[work][n])}), {medians['directory below'] / m:.2f} of the directory below"
                for n, m in medians.items()
            ),
        )
    shutil.rmtree(tree)
    archive.unlink()


def row_closes(bench):
    """10,000 × (write 1 KiB, close, list its versions)."""
    count = bench.size(10_000, 1_000)
    c = Keepfs(bench, bench.work / "closes")
    missing = 0
    rng = random.Random(5)
    start = time.monotonic()
    for n in range(count):
        # One file per hundred closes: the listing itself stays small.
        name = f"f{n // 100}"
        with open(c.root / name, "wb") as file:
            file.write(rng.randbytes(1024))
        if len(c.versions(name)) != n % 100 + 1:
            missing += 1
    seconds = time.monotonic() - start
    c.remove()
    bench.record(
        "closes",
        f"{count:,} × (write 1 KiB, close, list its versions)",
        "never a version missing",
        f"{missing} missing",
        verdict(missing == 0),
        [f"{seconds / count * 1e6:.0f} µs each, the listing and this script included"],
    )


def row_dedup(bench):
    """Rewrite a 1 GiB file 20 times with 4 KiB changed, append 1 KiB 200 times."""
    mib = bench.size(1024, 64)
    c = Keepfs(bench, bench.work / "dedup")
    rng = random.Random(11)
    data = bench.work / "dedup.data"
    bench.loop("write", data, mib)
    unique = mib * MIB
    target = c.root / "big"
    shutil.copyfile(data, target)
    c.settle()
    first = c.store_bytes()
    for _ in range(20):
        with open(data, "r+b") as file:
            file.seek(rng.randrange(mib * MIB // 4096) * 4096)
            file.write(rng.randbytes(4096))
        unique += 4096
        # The whole file is written anew: keepfs is not told what changed.
        shutil.copyfile(data, target)
        c.settle()
    rewritten = c.store_bytes()
    for _ in range(200):
        more = rng.randbytes(1024)
        with open(target, "ab") as file:
            file.write(more)
        with open(data, "ab") as file:
            file.write(more)
        unique += 1024
    c.settle()
    stored = c.store_bytes()
    versions = len(c.versions("big"))
    if versions != 221:
        fail(f"dedup: {versions} versions, not 221")
    run("cmp", data, c.root / ".versions/big/latest")
    c.remove()
    data.unlink()
    ratio = stored / unique
    bench.record(
        "dedup",
        f"rewrite {mib} MiB 20 × (4 KiB changed), append 1 KiB 200 ×",
        "the store holds at most 1.10 × the unique bytes",
        f"{ratio:.3f} ×",
        verdict(ratio <= 1.10),
        [
            f"first version {first / MIB:.0f} MiB, after the rewrites {rewritten / MIB:.0f} MiB, after the appends {stored / MIB:.0f} MiB"
        ],
    )


def row_catalog(bench):
    """A catalog of 1,000,000 versions: commit latency, listing, mount."""
    versions, listed = bench.size((1_000_000, 10_000), (20_000, 2_000))
    full = Keepfs(bench, bench.work / "catalog-full")
    empty = Keepfs(bench, bench.work / "catalog-empty")
    start = time.monotonic()
    made = 0
    (full.root / "many").mkdir()
    while made < versions:
        target = full.root / ("x" if made == 0 else f"many/{made}")
        bench.loop("versions", target, listed, made)
        made += listed
        print(f"  {made:,} versions, {time.monotonic() - start:.0f} s", file=sys.stderr)
    full.settle()
    filling = time.monotonic() - start
    latency = {"commits": {}, "closes": {}}
    for kind in latency:
        for number, c in bench.rounds([empty, full]):
            directory = c.root / f"{kind}-{number}"
            directory.mkdir()
            latency[kind].setdefault(c.home.name, []).append(bench.loop(kind, directory, 300))
            c.settle()
    for kind, word in (("commits", "with fsync"), ("closes", "without fsync")):
        one, million = (statistics.median(latency[kind][c.home.name]) for c in (empty, full))
        bench.record(
            "catalog",
            f"commit latency, {word}, {versions:,} versions in the catalog",
            "at most 1.5 × that of an empty one",
            f"{million / one:.2f} ×",
            verdict(million / one <= 1.5),
            [f"{one * 1e6:.0f} µs empty, {million * 1e6:.0f} µs full; filled in {filling:.0f} s"],
        )
    listings, mounts = [], []
    for _ in range(bench.runs):
        full.stop()
        drop_caches()
        mounts.append(full.mount())
        start = time.monotonic()
        found = run("ls", full.root / ".versions/x").split()
        listings.append(time.monotonic() - start)
        if len(found) != listed:
            fail(f"ls shows {len(found)} of {listed} versions")
    for what, bar, values in (
        (f"`ls .versions/x`, {listed:,} versions, just mounted", 0.2, listings),
        (f"mount, {versions:,} versions, cold", 1.0, mounts),
    ):
        middle = statistics.median(values)
        bench.record(
            "catalog", what, f"under {bar:g} s", f"{middle:.3f} s", verdict(middle < bar), [spread(values)]
        )
    full.remove()
    empty.remove()


def row_walk(bench):
    """find and du over 1,000,000 live files with ulimit -n 1024."""
    files = bench.size(1_000_000, 20_000)
    c = KeepfsOff(bench, bench.work / "walk")
    c.stop()
    live = c.vault / "live"
    for number in range(files // 1000):
        directory = live / f"{number // 100}" / f"{number}"
        directory.mkdir(parents=True)
        for name in range(1000):
            os.close(os.open(directory / f"{name}", os.O_CREAT | os.O_WRONLY, 0o644))
    run("bash", "-c", 'ulimit -n 1024; exec "$0" mount "$1" "$2"', bench.keepfs, c.vault, c.root)
    walks = {}
    for command in ("find", "du"):
        arguments = ("find", c.root, "-type", "f", "-printf", "%s\\n") if command == "find" else ("du", "-s", c.root)
        start = time.monotonic()
        out = run(*arguments)
        walks[command] = time.monotonic() - start
        if command == "find" and len(out.split()) != files:
            fail(f"find saw {len(out.split())} of {files} files")
    status = pathlib.Path(f"/proc/{c.daemon()}/status").read_text()
    resident = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
    limit = pathlib.Path(f"/proc/{c.daemon()}/limits").read_text()
    limit = re.search(r"Max open files\s+(\d+)", limit).group(1)
    c.remove()
    bench.record(
        "walk",
        f"`find` and `du` over {files:,} live files, `ulimit -n` 1024",
        "finishes; daemon under 400 MB resident",
        f"find {walks['find']:.1f} s, du {walks['du']:.1f} s; {resident:.0f} MB at most",
        verdict(resident < 400),
        [f"soft descriptor limit of the daemon while it ran: {limit}"],
    )


def row_ingest(bench):
    """Ingest of 2 GiB mixed data, against restic backup."""
    size = bench.size(2048, 200) * MIB
    data = bench.work / "mixed"
    make_mixed(data, size, 3)
    size = tree_size(data)
    files = sum(len(names) for _, _, names in os.walk(data))
    times = {"keepfs": [], "restic": []}
    stored = {}
    two_cores = ("taskset", "-c", "0,1") if os.cpu_count() > 2 else ()
    environment = dict(os.environ, RESTIC_PASSWORD="bench", GOMAXPROCS="2")
    for number in range(bench.runs):
        print(f"  round {number + 1} of {bench.runs}", file=sys.stderr)
        for name in ("keepfs", "restic") if number % 2 else ("restic", "keepfs"):
            home = bench.work / "ingest"
            home.mkdir()
            if name == "restic":
                repo = home / "repo"
                run("restic", "-q", "-r", repo, "init", env=environment)
                drop_caches()
                start = time.monotonic()
                run(*two_cores, "restic", "-q", "-r", repo, "backup", data, env=environment)
                times[name].append(time.monotonic() - start)
                stored[name] = tree_size(repo)
            else:
                vault, root = home / "vault", home / "root"
                run(bench.keepfs, "init", vault, "--live", data, "--backup", "on")
                drop_caches()
                # From nothing kept to everything in the store: what restic's run does.
                start = time.monotonic()
                run(*two_cores, bench.keepfs, "mount", vault, root)
                run(bench.keepfs, "backup", root)
                run(bench.keepfs, "umount", root)
                times[name].append(time.monotonic() - start)
                stored[name] = tree_size(vault / "store")
                if number == 0:
                    run(bench.keepfs, "check", "--read-data", "--vault", vault)
                    run(bench.keepfs, "mount", vault, root)
                    for path in ("photos", "source", "text"):
                        for top, _, names in os.walk(data / path):
                            for file in names[:3]:
                                relative = os.path.relpath(os.path.join(top, file), data)
                                run("cmp", data / relative, root / ".versions" / relative / "latest")
                    run(bench.keepfs, "umount", root)
            shutil.rmtree(home)
    medians = median_table(times)
    ratio = medians["restic"] / medians["keepfs"]
    bench.record(
        "ingest",
        f"ingest of {size // MIB} MiB mixed data ({files:,} files: photos, source, text)",
        "at least 2 × the throughput of `restic backup`",
        f"{ratio:.2f} ×",
        verdict(ratio >= 2),
        (
            f"{n}: {m:.2f} s ({spread(times[n])}), {size / MIB / m:.0f} MiB/s, stored {stored[n] / MIB:.0f} MiB"
            for n, m in medians.items()
        ),
    )
    shutil.rmtree(data)


def row_cat(bench):
    """cat of a stored 1 GiB version, cold, against restic dump."""
    mib = bench.size(1024, 128)
    data = bench.work / "cat.data"
    bench.loop("write", data, mib)
    c = Keepfs(bench, bench.work / "cat")
    shutil.copyfile(data, c.root / "big")
    c.settle()
    environment = dict(os.environ, RESTIC_PASSWORD="bench")
    repo = bench.work / "cat-repo"
    run("restic", "-q", "-r", repo, "init", env=environment)
    run("restic", "-q", "-r", repo, "backup", data, env=environment)
    identity = c.versions("big")[0]
    version = c.root / ".versions/big" / identity
    run("cmp", data, version)
    times = {"keepfs": [], "restic": []}
    sink = open("/dev/null", "wb")
    for number in range(bench.runs):
        for name in ("keepfs", "restic") if number % 2 else ("restic", "keepfs"):
            if name == "keepfs":
                # A new daemon: nothing in its own cache either.
                c.stop()
                c.mount()
                drop_caches()
                command, env = ("cat", version), None
            else:
                drop_caches()
                command, env = ("restic", "-q", "-r", repo, "dump", "latest", data), environment
            start = time.monotonic()
            done = subprocess.run([str(p) for p in command], stdout=sink, stderr=subprocess.PIPE, env=env)
            times[name].append(time.monotonic() - start)
            if done.returncode:
                fail(f"{command}: {done.stderr.decode()}")
    copy = bench.work / "cat.copy"
    with open(copy, "wb") as file:
        subprocess.run(["restic", "-q", "-r", repo, "dump", "latest", data], stdout=file, env=environment, check=True)
    run("cmp", data, copy)
    medians = median_table(times)
    ratio = medians["restic"] / medians["keepfs"]
    bench.record(
        "cat",
        f"`cat` of a stored {mib} MiB version, cold cache",
        "at least 5 × `restic dump`",
        f"{ratio:.2f} ×",
        verdict(ratio >= 5),
        (f"{n}: {m:.2f} s ({spread(times[n])}), {mib / m:.0f} MiB/s" for n, m in medians.items()),
    )
    c.remove()
    shutil.rmtree(repo)
    data.unlink()
    copy.unlink()


ROWS = {
    "stream": row_stream,
    "tree": row_tree,
    "closes": row_closes,
    "dedup": row_dedup,
    "catalog": row_catalog,
    "walk": row_walk,
    "ingest": row_ingest,
    "cat": row_cat,
}
