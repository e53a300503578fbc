"""The rows of the HTTP server: downloads beside nginx, uploads beside cp, and searches."""

import base64
import http.client
import json
import os
import shutil
import statistics
import subprocess
import time

from .measure import MIB, fail, median_table, run, spread, verdict, wait_until
from .servers import free_port

NAME = "bench"


class Served:
    """A mounted vault with the server."""

    name = "keepfs"

    def __init__(self, bench, home):
        self.bench = bench
        self.home = home
        self.vault, self.root = home / "vault", home / "root"
        self.root.mkdir(parents=True)
        self.port = free_port()
        run(bench.keepfs, "init", self.vault, "--name", NAME)
        key = json.loads(run(bench.keepfs, "api-key", "create", "--json", self.vault))
        pair = base64.b64encode(f"{key['key']}:{key['secret']}".encode()).decode()
        self.headers = {"Authorization": f"Basic {pair}"}
        run(bench.keepfs, "mount", self.vault, self.root, "--listen", f"127.0.0.1:{self.port}")
        self.live = self.vault / "live"

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def path(self, name):
        return f"/{NAME}/raw/upload/{name}"

    def search(self, connection, expression, most=50):
        body = json.dumps({"expression": expression, "max_results": most})
        headers = self.headers | {"Content-Type": "application/json"}
        connection.request("POST", f"/v1_1/{NAME}/resources/search", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            fail(f"search: {text}")
        return json.loads(text)

    def settle(self):
        run(self.bench.keepfs, "wait", self.root)

    def remove(self):
        run(self.bench.keepfs, "umount", self.root)
        shutil.rmtree(self.home)


class Nginx:
    """Two workers over the same live directory."""

    name = "nginx"

    def __init__(self, bench, home, live):
        self.home = home
        home.mkdir()
        self.port = free_port()
        (home / "nginx.conf").write_text(
            f"user root; worker_processes 2; daemon off; pid {home}/pid; error_log {home}/errors;\n"
            "events {}\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {live}; }} }}\n"
        )
        command = ["setpriv", "--pdeathsig", "KILL", "nginx", "-c", home / "nginx.conf"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until("nginx to listen", self.listens, 30)

    def listens(self):
        try:
            self.connect().connect()
            return True
        except OSError:
            return False

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def path(self, name):
        return f"/{name}"

    def remove(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.home)


def get_all(contender, names, size):
    connection = contender.connect()
    start = time.monotonic()
    for name in names:
        connection.request("GET", contender.path(name))
        body = connection.getresponse().read()
        if len(body) != size:
            fail(f"{contender.name}: {name} came as {len(body)} bytes")
    return time.monotonic() - start


def row_get(bench):
    """Download of originals, beside nginx over the same directory."""
    served = Served(bench, bench.work / "api")
    small, count = 64 << 10, bench.size(4000, 400)
    big = bench.size(1024, 64)
    names = [f"s{number}.bin" for number in range(count)]
    for name in names:
        (served.live / name).write_bytes(os.urandom(small))
    with open(served.live / "big.bin", "wb") as file:
        for _ in range(big):
            file.write(os.urandom(MIB))
    contenders = [served, Nginx(bench, bench.work / "nginx", served.live)]
    works = {f"{count:,} files of 64 KiB": (names, small), f"one file of {big} MiB": (["big.bin"], big * MIB)}
    times = {work: {c.name: [] for c in contenders} for work in works}
    for contender in contenders:
        get_all(contender, names, small)
    for _, contender in bench.rounds(contenders):
        for work, (wanted, size) in works.items():
            times[work][contender.name].append(get_all(contender, wanted, size))
    for contender in reversed(contenders):
        contender.remove()
    for work, measured in times.items():
        medians = median_table(measured)
        ratio = medians["nginx"] / medians["keepfs"]
        bench.record(
            "api-get",
            f"download of {work}, one connection, warm",
            "at least 0.7 × nginx",
            f"{ratio:.2f} ×",
            verdict(ratio >= 0.7),
            (f"{n}: {m:.3f} s ({spread(measured[n])})" for n, m in medians.items()),
        )


def row_put(bench):
    """Upload through the API, beside cp into the mount."""
    served = Served(bench, bench.work / "api")
    count, size = bench.size(2000, 200), 256 << 10
    source = bench.work / "source"
    source.mkdir()
    for number in range(count):
        (source / f"f{number}.bin").write_bytes(os.urandom(size))
    times = {"cp": [], "keepfs": []}
    for number, how in bench.rounds(["cp", "keepfs"]):
        place = f"{how}-{number}"
        run("sync")
        start = time.monotonic()
        if how == "cp":
            run("cp", "-r", source, served.root / place)
        else:
            put_all(served, source, place)
        times[how].append(time.monotonic() - start)
        if run("diff", "-r", source, served.root / place):
            fail(f"{how}: what arrived differs")
        served.settle()
    served.remove()
    shutil.rmtree(source)
    medians = median_table(times)
    ratio = medians["cp"] / medians["keepfs"]
    bench.record(
        "api-put",
        f"upload of {count:,} files of 256 KiB, one after the other",
        "at least 0.5 × `cp` into the mount",
        f"{ratio:.2f} ×",
        verdict(ratio >= 0.5),
        (f"{n}: {m:.3f} s ({spread(times[n])})" for n, m in medians.items()),
    )


def put_all(served, source, place):
    connection = served.connect()
    boundary = "keepfs-bench-boundary"
    headers = served.headers | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    for file in sorted(source.iterdir()):
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"public_id\"\r\n\r\n{place}/{file.name}\r\n"
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file.name}\"\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        connection.request("POST", f"/v1_1/{NAME}/raw/upload", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            fail(f"upload: {text}")


def row_search(bench):
    """Search by status and prefix over 1,000,000 assets."""
    served = Served(bench, bench.work / "api")
    directories, files = bench.size(1000, 20), 1000
    for number in range(directories):
        place = served.live / f"d{number:04}"
        place.mkdir()
        for name in range(files):
            (place / f"f{name:04}.txt").write_text(f"{number} {name}")
    run(bench.keepfs, "backup", served.root)
    for number in range(directories):
        for name in range(10):
            (served.root / f"d{number:04}/f{name:04}.txt").unlink()
    connection = served.connect()
    times = {"deleted, by prefix": [], "live, by prefix": []}
    for number in range(50):
        place = f"d{number * 7 % directories:04}"
        for what, expression, expected in (
            ("deleted, by prefix", f"status:deleted AND public_id:{place}/*", 10),
            ("live, by prefix", f"status:active AND public_id:{place}/*", files - 10),
        ):
            start = time.monotonic()
            found = served.search(connection, expression)
            times[what].append(time.monotonic() - start)
            if found["total_count"] != expected:
                fail(f"{expression}: {found['total_count']} instead of {expected}")
    served.remove()
    for what, measured in times.items():
        median = statistics.median(measured)
        bench.record(
            "api-search",
            f"search of {directories * files:,} assets: {what}",
            "under 50 ms, median of 50",
            f"{median * 1000:.1f} ms",
            verdict(median < 0.05),
            (spread(measured),),
        )


ROWS = {
    "api-get": row_get,
    "api-put": row_put,
    "api-search": row_search,
}
