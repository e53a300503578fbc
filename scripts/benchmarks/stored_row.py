"""The row of stored bytes: fifty versions of a growing tree, in four ways to keep them."""

import hashlib
import os
import random
import shutil

from .bucket_tools import KeepfsInBucket, Restic
from .data import digest, make_source_tree, source_text
from .measure import MIB, fail, run, tree_size, verdict
from .servers import BucketServer

PAGE_BYTES = 4096


class GrowingTree:
    """What people and programs do to a tree between two backups.

    A step depends on nothing but the seed, its number and what is there: applied to equal
    trees it makes equal trees.
    """

    def __init__(self, size):
        self.size = size
        self.pool = source_text(random.Random(29), 4 * MIB)

    def begin(self, top):
        """Source, logs, photos, and a database in pages."""
        rng = random.Random("begin")
        make_source_tree(top / "source", self.size // 3 // 8000, self.size // 3, 31)
        for directory in ("logs", "photos"):
            (top / directory).mkdir()
        for number in range(4):
            (top / f"logs/log_{number}.txt").write_bytes(self.text(rng, self.size // 24))
        for number in range(8):
            (top / f"photos/img_{number}.jpg").write_bytes(rng.randbytes(self.size // 48))
        with open(top / "library.db", "wb") as file:
            for _ in range(self.size // 6 // PAGE_BYTES):
                file.write(self.page(rng))

    def step(self, top, number):
        """The next version."""
        rng = random.Random(f"step {number}")
        source = sorted(path for path in (top / "source").rglob("*") if path.is_file())
        for path in rng.sample(source, len(source) // 50):
            self.edit(rng, path)
        for path in rng.sample(source, 2):
            path.rename(path.with_name(f"renamed_{number}_{path.name}"))
        if number % 10 == 5:
            directory = rng.choice(sorted((top / "source").iterdir()))
            directory.rename(directory.with_name(f"{directory.name}_{number}"))
        new = top / f"source/new_{number}"
        new.mkdir()
        for name in range(max(2, self.size // 100 // 16_000)):
            (new / f"{name}.rs").write_bytes(self.text(rng, rng.randrange(500, 16_000)))
        for path in sorted((top / "logs").iterdir()):
            with open(path, "ab") as file:
                file.write(self.text(rng, self.size // 2000))
        photo = top / f"photos/new_{number}.jpg"
        photo.write_bytes(rng.randbytes(rng.randrange(self.size // 200, self.size // 60)))
        with open(top / "library.db", "r+b") as file:
            pages = os.fstat(file.fileno()).st_size // PAGE_BYTES
            for _ in range(max(1, pages // 500)):
                file.seek(rng.randrange(pages) * PAGE_BYTES)
                file.write(self.page(rng))
            file.seek(0, os.SEEK_END)
            file.write(self.page(rng))

    def text(self, rng, size):
        parts, have = [], 0
        while have < size:
            start = rng.randrange(len(self.pool) - 400)
            parts.append(f"{rng.getrandbits(40)} ".encode() + self.pool[start : start + rng.randrange(40, 400)])
            have += len(parts[-1])
        return b"".join(parts)[:size]

    def page(self, rng):
        """Half of a page's rows compress, half do not."""
        return (rng.randbytes(PAGE_BYTES // 2) + self.text(rng, PAGE_BYTES))[:PAGE_BYTES]

    def edit(self, rng, path):
        """Some lines in the middle replaced, as an editor saves it: the whole file anew."""
        old = path.read_bytes()
        at = rng.randrange(len(old))
        path.write_bytes(old[:at] + self.text(rng, rng.randrange(20, 600)) + old[at + rng.randrange(200) :])


class Borg:
    """A repository on the local disk, compressed as restic's and keepfs's are."""

    def __init__(self, home):
        self.repository = home / "repository"
        home.mkdir()
        self.environment = dict(
            os.environ, BORG_BASE_DIR=str(home / "base"), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes"
        )
        self.run("init", "-e", "none", self.repository)

    def run(self, *arguments, **options):
        run("borg", *arguments, env=self.environment, **options)

    def backup(self, data, number):
        self.run("create", "-C", "zstd,3", f"{self.repository}::{number}", ".", cwd=data)

    def stored_bytes(self):
        self.run("compact", self.repository)
        return tree_size(self.repository)


class VersionedBucket:
    """What a bucket with object versioning would hold after a sync of every version.

    Reckoned: each file that is new at its name or differs from what was there is one more
    object of its whole size.
    """

    def __init__(self):
        self.held = {}
        self.bytes = 0

    def backup(self, data):
        now = {}
        for path in data.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                name = path.relative_to(data)
                now[name] = hashlib.blake2b(content).digest()
                if self.held.get(name) != now[name]:
                    self.bytes += len(content)
        self.held = now


def row_stored(bench):
    """Stored bytes of 50 versions of a growing tree: restic, borg, a versioned bucket."""
    versions = bench.size(50, 10)
    growing = GrowingTree(bench.size(192, 12) * MIB)
    data, live = bench.work / "stored-data", bench.work / "stored-live"
    server = bench.serve(BucketServer(bench.work / "server"))
    server.start()
    keepfs = KeepfsInBucket(bench, bench.work / "tool-keepfs", server.port)
    restic = Restic(bench, bench.work / "tool-restic", server.port)
    borg, versioned = Borg(bench.work / "borg"), VersionedBucket()
    for top in (data, live):
        growing.begin(top)
    first = tree_size(data)
    keepfs.prepare(live)
    restic.prepare(data)
    keepfs.backup(live)
    for number in range(versions):
        if number:
            growing.step(data, number)
            # keepfs sees each of these as it happens.
            growing.step(keepfs.root, number)
            keepfs.keepfs("wait", keepfs.root)
        restic.backup(data)
        borg.backup(data, number)
        versioned.backup(data)
    if digest(keepfs.root) != digest(data):
        fail("stored: the trees differ")
    keepfs.keepfs("check", "--read-data", keepfs.root)
    keepfs.close()
    stored = {
        "keepfs": tree_size(server.bucket / "keepfs"),
        "restic": tree_size(server.bucket / "restic"),
        "borg": borg.stored_bytes(),
        "bucket with object versioning (reckoned)": versioned.bytes,
    }
    objects = sum(len(names) for _, _, names in os.walk(server.bucket / "keepfs"))
    last = tree_size(data)
    for tool in (keepfs, restic):
        tool.remove()
    server.remove()
    for top in (data, live, bench.work / "borg"):
        shutil.rmtree(top)
    best = min(size for name, size in stored.items() if name != "keepfs")
    ratio = stored["keepfs"] / best
    bench.record(
        "stored",
        f"stored bytes of {versions} versions of a tree that grows from {first / MIB:.0f} to {last / MIB:.0f} MiB",
        "at most 1.05 × the best of restic, borg and object versioning",
        f"{ratio:.3f} ×",
        verdict(ratio <= 1.05),
        [f"{name}: {size / MIB:.1f} MiB" for name, size in stored.items()]
        + [f"objects of keepfs's, catalog included: {objects:,}"],
    )


ROWS = {"stored": row_stored}
