"""The filesystems that are measured beside each other, each with a directory of its own."""

import json
import os
import re
import shutil

from .measure import fail, is_mounted, run, timed, tree_size, wait_until


class Below:
    """The directory below: no filesystem of ours or theirs in between."""

    name = "directory below"

    def __init__(self, bench, directory):
        self.bench = bench
        self.home = directory
        self.home.mkdir(parents=True)
        self.root = self.home / "root"
        self.start()

    def start(self):
        self.root.mkdir(exist_ok=True)

    def settle(self):
        """Waits until nothing is left to do in the background."""

    def stop(self):
        """Unmounts."""

    def remove(self):
        self.stop()
        shutil.rmtree(self.home)


class Mounted(Below):
    def start(self):
        self.source = self.home / "source"
        self.source.mkdir(exist_ok=True)
        self.root.mkdir(exist_ok=True)
        self.mount()
        wait_until(f"{self.name} to mount", lambda: is_mounted(self.root), 60)

    def stop(self):
        if is_mounted(self.root):
            run("umount", self.root)
            wait_until(f"{self.name} to unmount", lambda: not is_mounted(self.root), 60)


class Bindfs(Mounted):
    name = "bindfs"

    def mount(self):
        run("bindfs", self.source, self.root)


class Mergerfs(Mounted):
    name = "mergerfs"

    def mount(self):
        run("mergerfs", self.source, self.root)


class Gocryptfs(Mounted):
    name = "gocryptfs"

    def mount(self):
        if not (self.source / "gocryptfs.conf").exists():
            run("gocryptfs", "-q", "-init", "-scryptn", "10", "-extpass", "echo bench", self.source)
        run("gocryptfs", "-q", "-extpass", "echo bench", self.source, self.root)


class Keepfs(Below):
    name = "keepfs"
    init_options = ()

    def start(self):
        self.vault = self.home / "vault"
        self.root.mkdir(exist_ok=True)
        if not self.vault.exists():
            run(self.bench.keepfs, "init", self.vault, *self.init_options)
        self.mount()

    def mount(self):
        return timed(self.bench.keepfs, "mount", self.vault, self.root)

    def status(self):
        return json.loads(run(self.bench.keepfs, "status", "--json", self.root))

    def settle(self):
        wait_until("keepfs to store everything", lambda: pending(self.status()) == 0)

    def stop(self):
        if is_mounted(self.root):
            run(self.bench.keepfs, "umount", self.root)

    def daemon(self):
        """The daemon's process id."""
        text = (self.vault / "lock").read_text()
        return int(re.search(r"\d+", text).group())

    def versions(self, path):
        return sorted(os.listdir(self.root / ".versions" / path))

    def store_bytes(self):
        return tree_size(self.vault / "store")


class KeepfsOff(Keepfs):
    name = "keepfs --backup off"
    init_options = ("--backup", "off")

    def settle(self):
        """Nothing is ever pending."""


def pending(status):
    """How many versions are not in the store yet, wherever the status document says so."""
    for key in ("versions_pending", "versions_sealed", "pending"):
        found = find_key(status, key)
        if isinstance(found, dict):
            found = find_key(found, "versions")
        if isinstance(found, (int, float)):
            return found
    fail(f"keepfs status --json does not say what waits: {status}")


def find_key(value, key):
    if isinstance(value, dict):
        if key in value:
            return value[key]
        for inner in value.values():
            found = find_key(inner, key)
            if found is not None:
                return found
    return None


FILESYSTEMS = (Below, Keepfs, KeepfsOff, Bindfs, Mergerfs, Gocryptfs)
