"""Trees to work on: made by a seed, so every run and every contender gets the same."""

import hashlib
import os
import random

from .measure import MIB

WORDS = """self result error value index buffer length offset return match struct fn let mut
impl pub use crate mod if else for while loop break continue const static trait enum type where
async await move ref as in unsafe extern dyn Box Vec String Option Some None Ok Err path file
name entry node parent child hash chunk pack store catalog version asset mount inode handle
request reply config default clock timestamp thread lock guard channel sender receiver test
assert expect unwrap clone into from iter map filter collect push insert remove get len""".split()


def source_text(rng, size):
    """Text that compresses about as source code does (roughly four to one)."""
    lines, length = [], 0
    while length < size:
        depth = rng.randrange(4) * 4
        count = rng.randrange(3, 11)
        words = [rng.choice(WORDS) for _ in range(count)]
        if rng.random() < 0.5:
            words.append(f"{rng.choice(WORDS)}_{rng.randrange(10000)}")
        line = " " * depth + rng.choice((" ", "(", ".", "::", ", ")).join(words) + rng.choice(";{})") + "\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:size]


def make_source_tree(top, files, size, seed):
    """A tree like a source checkout: many small files, a few large, directories of ~20."""
    rng = random.Random(seed)
    weights = [rng.paretovariate(1.3) for _ in range(files)]
    scale = size / sum(weights)
    # Text is generated once and cut at other places for each file: quick, and no two files
    # are equal.
    pool = source_text(rng, 8 * MIB)
    for number, weight in enumerate(weights):
        length = max(64, min(int(weight * scale), 4 * MIB))
        directory = top / f"d{number // 400:02}" / f"m{number // 20 % 20:02}"
        directory.mkdir(parents=True, exist_ok=True)
        head = f"// file {number} {rng.getrandbits(64):016x}\n".encode()
        parts, have = [head], len(head)
        while have < length:
            start = rng.randrange(len(pool))
            part = pool[start : start + min(rng.randrange(200, 4000), length - have)]
            parts.append(part)
            have += len(part)
        (directory / f"file_{number}.rs").write_bytes(b"".join(parts))


def make_mixed(top, size, seed):
    """Half photos (noise), a quarter source, a quarter prose and logs: somewhat below `size`."""
    rng = random.Random(seed)
    photos = top / "photos"
    photos.mkdir(parents=True)
    made, number = 0, 0
    while made < size // 2:
        length = rng.randrange(MIB, 5 * MIB)
        (photos / f"img_{number:04}.jpg").write_bytes(rng.randbytes(length))
        made, number = made + length, number + 1
    make_source_tree(top / "source", max(20, size // 4 // 20000), size // 4, seed + 1)
    texts = top / "text"
    texts.mkdir()
    pool = source_text(rng, 4 * MIB)
    made, number = 0, 0
    while made < size // 4:
        length = rng.randrange(64 << 10, 16 * MIB)
        with open(texts / f"log_{number:04}.txt", "wb") as file:
            have = 0
            while have < length:
                stamp = f"{number} {have} {rng.getrandbits(40)} ".encode()
                start = rng.randrange(len(pool) - 300)
                have += file.write(stamp + pool[start : start + rng.randrange(60, 300)])
        made, number = made + length, number + 1


def add_copies(top, size, seed):
    """Fills up to `size` with whole copies of what is there, under other names."""
    rng = random.Random(seed)
    there = sorted(path for path in top.rglob("*") if path.is_file())
    made = sum(path.stat().st_size for path in there)
    copies = top / "copies"
    copies.mkdir()
    while made < size:
        path = rng.choice(there)
        target = copies / f"{rng.getrandbits(64):016x}{path.suffix}"
        target.write_bytes(path.read_bytes())
        made += path.stat().st_size


def digest(directory):
    """One hash of all names and contents below a directory."""
    whole = hashlib.blake2b()
    for top, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(top, name)
            whole.update(os.path.relpath(path, directory).encode() + b"\0")
            with open(path, "rb") as file:
                whole.update(hashlib.file_digest(file, "blake2b").digest())
    return whole.hexdigest()
