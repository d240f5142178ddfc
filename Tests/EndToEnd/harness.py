"""Real devnets of real processes for the end-to-end tests and the demo.

Everything that is started here is stopped here, by process id. Nothing leaves loopback.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

MIB = 1 << 20


class Failure(AssertionError):
    """A case did not hold; the message says what was seen."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def wait_until(what, predicate, limit_s, poll_s=0.2):
    """Polls until `predicate` returns something true and returns that; fails after `limit_s`."""
    deadline = time.monotonic() + limit_s
    last_error = None
    while time.monotonic() < deadline:
        try:
            value = predicate()
            if value:
                return value
            last_error = None
        except (
            OSError, json.JSONDecodeError, botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        ) as error:
            last_error = error
        time.sleep(poll_s)
    raise Failure(f"{what}: not within {limit_s} s" + (f" ({last_error})" if last_error else ""))


def random_bytes(count, seed):
    # `randbytes` counts in bits that fit an int of C: pieces of less than 256 MiB.
    generator = random.Random(seed)
    return b"".join(
        generator.randbytes(min(128 * MIB, count - begin)) for begin in range(0, count, 128 * MIB))


def write_random_file(path, size, seed):
    """Writes `size` seeded bytes in pieces and returns their SHA-256."""
    digest = hashlib.sha256()
    generator = random.Random(seed)
    with open(path, "wb") as file:
        left = size
        while left:
            piece = generator.randbytes(min(left, 4 * MIB))
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    return digest.hexdigest()


def sha256_of_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(4 * MIB):
            digest.update(piece)
    return digest.hexdigest()


def s3_client(endpoint, access_key="demo", secret_key="demo-secret", ca_file=None, **options):
    """A plain boto3 client; `options` go into its Config."""
    options.setdefault("retries", {"max_attempts": 5, "mode": "standard"})
    options.setdefault("read_timeout", 120)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="auto",
        verify=ca_file,
        config=botocore.config.Config(**options),
    )


class Peer:
    """One `cyxpeer` process and its folder (`pid`, `log`, `listen`, `admin`, `s3`, data)."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def read(self, name):
        return (self.folder / name).read_text().strip()

    @property
    def pid(self):
        return int(self.read("pid"))

    @property
    def is_running(self):
        process = pathlib.Path(f"/proc/{self.pid}")
        try:
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            # A killed process holds its files and locks until its last thread is gone.
            return state != "Z" or len(list((process / "task").iterdir())) > 1
        except (FileNotFoundError, ProcessLookupError):
            return False

    def kill(self, how=signal.SIGKILL):
        """A signal that ends it; remembers the command line, so that `restart` can run it again."""
        pid = self.pid
        self.command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        os.kill(pid, how)
        wait_until("the kill", lambda: not self.is_running, 10, poll_s=0.02)

    def restart(self):
        """Starts a killed peer again as it was; the caller ends it through `kill` or `end`."""
        for name in ("listen", "admin", "s3"):
            (self.folder / name).unlink(missing_ok=True)
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        (self.folder / "pid").write_text(str(self.process.pid))
        wait_until("peer to serve", self.is_serving, 30)

    def is_serving(self):
        expect(self.is_running, f"peer {self.folder.name} ended:\n{self.log_tail()}")
        return (self.folder / "admin").exists() and self.status()

    def end(self):
        """SIGTERM and wait, for peers that this process started."""
        process = getattr(self, "process", None)
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match.group(1)) / 1024

    def peak_resident_mib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(match.group(1)) / 1024

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def admin(self, path):
        """GET of the admin API, decoded from JSON where it is JSON."""
        request = urllib.request.Request(
            f"http://{self.read('admin')}{path}",
            headers={"Authorization": "Bearer " + self.read("admin.token")},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            body = response.read().decode()
        return json.loads(body) if body.startswith(("{", "[")) else body

    def status(self):
        return self.admin("/api/v1/status")

    def log_tail(self, lines=15):
        text = (self.folder / "log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Devnet:
    """`cyxcloud devnet` with its peers; a context manager that stops them."""

    def __init__(self, programs, peers, data=None, zones=None, accounts=(), extra=()):
        self.programs = pathlib.Path(programs)
        self.count = peers
        self.owns_data = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="cyx-e2e-"))
        self.options = []
        if zones:
            self.options += ["--zones", str(zones)]
        for account in accounts:
            self.options += ["--account", account]
        self.options += list(extra)
        self.process = None
        self.lines = []
        self.cached_peers = {}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.data.exists():
            with contextlib.suppress(OSError):
                print(f"--- log of the gateway in {self.data}:\n" + self.gateway.log_tail(25))
        self.stop()
        if self.owns_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def start(self, limit_s=90):
        self.data.mkdir(parents=True, exist_ok=True)
        self.output = open(self.data / "devnet.out", "ab+")
        begin = self.output.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [
                self.programs / "cyxcloud", "devnet", "--peers", str(self.count),
                "--data", self.data, "--s3-listen", "127.0.0.1:0",
                "--access-key", "demo", "--secret-key", "demo-secret", *self.options,
            ],
            stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )

        def is_ready():
            text = (self.data / "devnet.out").read_bytes()[begin:].decode(errors="replace")
            self.lines = text.splitlines()
            expect(self.process.poll() is None, "devnet ended early:\n" + text[-3000:])
            return "ready" in self.lines

        wait_until("devnet ready", is_ready, limit_s)

    def stop(self):
        for peer in self.cached_peers.values():
            peer.end()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def peer(self, index):
        if index not in self.cached_peers:
            self.cached_peers[index] = Peer(self.data / "peers" / str(index))
        return self.cached_peers[index]

    @property
    def peers(self):
        return [self.peer(index) for index in range(self.count)]

    @property
    def gateway(self):
        return self.peer(0)

    @property
    def endpoint(self):
        scheme = "https" if any(o.startswith("--s3-tls") for o in self.options) else "http"
        return scheme + "://" + self.gateway.read("s3")

    @property
    def ca_file(self):
        """The certificate that the gateway made itself; None without one."""
        is_own = "--s3-tls-self-signed" in self.options
        return str(self.gateway.folder / "s3-certificate.pem") if is_own else None

    def s3(self, **options):
        return s3_client(self.endpoint, ca_file=self.ca_file, **options)

    def status(self):
        return self.gateway.status()

    def network_status(self):
        """The gateway's status with segment counts summed over all running peers."""
        total = None
        for peer in self.peers:
            if not peer.is_running:
                continue
            status = peer.status()
            if total is None:
                total = status
                continue
            for name, value in status["segments"].items():
                total["segments"][name] += value
            for name in ("full", "partitions", "unavailable"):
                total["tables"][name] += status["tables"][name]
        return total

    def wait_repaired(self, limit_s=120, dead=None):
        """Waits until the network itself says that nothing is degraded and views are full."""

        def is_repaired():
            status = self.network_status()
            segments, tables = status["segments"], status["tables"]
            if dead is not None and status["peers"]["dead"] < dead:
                return None
            whole = (
                segments["degraded"] == segments["at_risk"] == segments["lost"] == 0
                and segments["repair_queue"] == segments["scanning"] == 0
                and tables["full"] == tables["partitions"]
            )
            return status if whole else None

        return wait_until("network repaired", is_repaired, limit_s, poll_s=0.5)


class Cases:
    """Runs named cases, prints a line for each, and counts."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def run(self, name, body):
        begin = time.monotonic()
        try:
            note = body()
        except Exception as error:  # a failing case must not hide the ones after it
            self.failed += 1
            kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
            print(f"FAIL {name}: {kind}{error}", flush=True)
        else:
            self.passed += 1
            took = time.monotonic() - begin
            print(f"ok   {name} ({took:.1f} s){': ' + note if note else ''}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)
