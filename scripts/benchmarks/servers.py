"""The S3 server of the bucket rows, and what counts the requests that reach it.

Both listen on loopback, below the ports that the kernel gives to clients, and end with the
run: the server dies with this process even when that is killed.
"""

import asyncio
import collections
import os
import pathlib
import random
import shutil
import socket
import subprocess
import threading

from .measure import fail, wait_until

KEY, SECRET = "bench-key", "bench-secret-0123456789"
PORTS = range(20_000, 32_000)


def rclone():
    """The program that `scripts/setup` installs; the server, and a contender."""
    top = os.environ.get("KEEPFS_TEST_SERVERS", "/var/tmp/keepfs-test-servers")
    program = pathlib.Path(top) / "python/bin/rclone"
    if not program.exists():
        fail(f"{program} is not there: run scripts/setup --bench")
    return program


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class BucketServer:
    """`rclone serve s3` over a directory, with one bucket called `bucket`."""

    def __init__(self, home):
        self.home = home
        self.bucket = home / "bucket"
        self.bucket.mkdir(parents=True)
        self.process = None
        self.port = free_port()

    def start(self):
        """A new process over what is there: it remembers nothing of the last one's."""
        self.stop()
        command = ["setpriv", "--pdeathsig", "KILL", rclone(), "serve", "s3", "--config", "/dev/null"]
        command += ["--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{KEY},{SECRET}", self.home]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until("the S3 server to listen", self.listens, 30)

    def listens(self):
        if self.process.poll() is not None:
            fail(f"the S3 server ended: exit {self.process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def empty(self):
        """Stops it and removes every object."""
        self.stop()
        shutil.rmtree(self.bucket)
        self.bucket.mkdir()

    def remove(self):
        self.stop()
        shutil.rmtree(self.home)


class RequestCounter:
    """Passes HTTP/1.1 on to a server and counts the requests by their method.

    It costs time: what is counted is not timed.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self.counts = collections.Counter()
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        served = asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=1 << 20)
        asyncio.run_coroutine_threadsafe(served, self.loop).result()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def serve(self, client, to_client):
        server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        answers = asyncio.ensure_future(copy_all(server, to_client))
        try:
            while True:
                await self.pass_on(client, to_server)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            to_server.close()
            await answers

    async def pass_on(self, client, to_server):
        head = await client.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.counts[lines[0].split(" ")[0]] += 1
        fields = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
        to_server.write(head)
        if "chunked" in fields.get("transfer-encoding", ""):
            size = 1
            while size:
                line = await client.readuntil(b"\r\n")
                to_server.write(line)
                size = int(line.split(b";")[0], 16)
                await copy(client, to_server, size + 2)
        else:
            await copy(client, to_server, int(fields.get("content-length", 0)))
        await to_server.drain()


async def copy(reader, writer, count):
    while count:
        part = await reader.read(min(count, 1 << 18))
        if not part:
            raise asyncio.IncompleteReadError(part, count)
        writer.write(part)
        await writer.drain()
        count -= len(part)


async def copy_all(reader, writer):
    try:
        while part := await reader.read(1 << 18):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
