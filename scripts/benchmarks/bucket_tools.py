"""The programs that put a tree into a bucket and get it back, behind one set of verbs.

Each has a directory of its own for what it keeps on this machine, and a prefix in the bucket.
All run on the same two cores with their own defaults for compression: keepfs zstd 3, restic
`auto` (its zstd default), rclone none.
"""

import os
import shutil
import subprocess

from .measure import fail, is_mounted, run
from .servers import KEY, SECRET, rclone

TWO_CORES = ("taskset", "-c", "0,1") if os.cpu_count() > 2 else ()


class Tool:
    """One program with one repository, in the bucket that `port` leads to."""

    def __init__(self, bench, home, port):
        self.bench = bench
        self.home = home
        self.home.mkdir()
        self.restored = home / "restored"
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "RCLONE_", "RESTIC_"))
        }
        self.environment |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "GOMAXPROCS": "2"}

    def run(self, *command, **options):
        return run(*TWO_CORES, *command, env=self.environment, **options)

    def prepare(self, data):
        """What comes before the first backup, outside the clock."""

    def forget_here(self):
        """Loses what is on this machine and could be had again from the bucket."""

    def close(self):
        """Ends what runs."""

    def remove(self):
        self.close()
        shutil.rmtree(self.home)


class Restic(Tool):
    name = "restic"

    def prepare(self, data):
        self.environment |= {
            "RESTIC_PASSWORD": "bench",
            "RESTIC_REPOSITORY": f"s3:{self.endpoint}/bucket/restic",
            "RESTIC_CACHE_DIR": str(self.home / "cache"),
        }
        self.run("restic", "-q", "init")

    def backup(self, data):
        self.run("restic", "-q", "backup", data)

    def forget_here(self):
        shutil.rmtree(self.home / "cache", ignore_errors=True)

    def restore(self, data):
        """Gets the whole tree back into `restored`; returns where it is."""
        self.run("restic", "-q", "restore", "latest", "--target", self.restored)
        # keepfs says that it is done when the files are on the disk.
        self.run("sync", "--file-system", self.restored)
        return self.restored / data.relative_to("/")


class Rclone(Tool):
    name = "rclone copy"

    def prepare(self, data):
        self.environment |= {
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Rclone",
            "RCLONE_CONFIG_BENCH_ENDPOINT": self.endpoint,
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": KEY,
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": SECRET,
        }

    def backup(self, data):
        self.run(rclone(), "copy", "--config", "/dev/null", data, "bench:bucket/copy")


class KeepfsInBucket(Tool):
    name = "keepfs"

    @property
    def vault(self):
        return self.home / "vault"

    @property
    def root(self):
        return self.home / "root"

    @property
    def url(self):
        return f"s3://bucket/keepfs?endpoint={self.endpoint}&region=us-east-1"

    def keepfs(self, *arguments, **options):
        return self.run(self.bench.keepfs, *arguments, **options)

    def prepare(self, data):
        """A vault over `data` itself, which is the live tree."""
        self.root.mkdir()
        self.keepfs("store", "allow", self.url, "--name", "bench")
        self.keepfs("init", self.vault, "--name", "bench", "--live", data, "--store", self.url)

    def backup(self, data):
        self.keepfs("mount", self.vault, self.root)
        self.keepfs("backup", self.root)
        self.keepfs("wait", self.root)

    @staticmethod
    def need_rebuild(bench):
        asked = subprocess.run([bench.keepfs, "rebuild", "--help"], capture_output=True)
        if asked.returncode or b"--live" not in asked.stdout:
            fail(f"{bench.keepfs} has no `rebuild --live`, which s3-restore measures")

    def restore(self, data):
        """An empty machine: vault, catalog and live tree come out of the bucket."""
        live = self.restored / "live"
        self.keepfs("rebuild", "--store", self.url, self.restored, "--live", "--live-dir", live)
        return live

    def close(self):
        if is_mounted(self.root):
            self.keepfs("umount", self.root)
