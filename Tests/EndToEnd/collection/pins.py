"""Pins: a version is kept although its object, and even its bucket, is deleted."""

import json
import subprocess
import time

from harness import MIB, Devnet, expect, random_bytes, wait_until

# 7 peers: rs(4,2), and one to spare.
PEERS = 7
SIZE = 5 * MIB


class Pins:
    def __init__(self, devnet):
        self.devnet = devnet
        self.client = devnet.s3()
        self.body = random_bytes(SIZE, "pinned")

    def command(self, *words, code=0):
        """Runs `cyxcloud` against the gateway; its last line of JSON."""
        done = subprocess.run(
            [self.devnet.programs / "cyxcloud", *words, "--gateway", self.devnet.endpoint,
             "--access-key", "demo", "--secret-key", "demo-secret", "--json"],
            capture_output=True, text=True, timeout=120)
        expect(done.returncode == code,
               f"{' '.join(map(str, words))}: exit code {done.returncode}\n"
               f"{done.stdout}{done.stderr}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[-1].get("result", lines[-1].get("error")) if lines else None

    def used(self):
        return sum(peer.status()["store"]["used"] for peer in self.devnet.peers)

    def download(self, pin):
        path = self.devnet.data / f"pinned-{pin}"
        self.command("download", f"pin:{pin}", path)
        return path.read_bytes()

    def pin(self):
        self.client.create_bucket(Bucket="pins")
        self.client.put_object(Bucket="pins", Key="a b/ü", Body=self.body)
        self.stored = self.used()
        self.kept = self.command("pin", "pins/a b/ü")["pin"]
        self.ending = self.command("pin", "pins/a b/ü", "--until", "40s")
        expect(self.ending["until"] is not None, f"{self.ending}")
        expect(self.command("pin", "list")["pins"] == 2, "not two pins")
        for words in (["pin", "pins"], ["pin", "pins/k", "--until", "soon"],
                      ["download", f"pin:{self.kept}", "--recursive"]):
            self.command(*words, code=2)
        error = self.command("pin", "pins/none", code=1)
        expect(error["code"] == "NoSuchKey" and "try" in error, f"{error}")
        error = self.command("download", f"pin:{'0' * 32}", code=1)
        expect(error["code"] == "NoSuchPin" and error["try"] == "cyxcloud pin list", f"{error}")
        error = self.command("pin", "rm", "x", code=1)
        expect(error["code"] == "NoSuchPin", f"{error}")

    def outlive(self):
        """Collection comes by every minute; deleted shards leave the trash after half of one."""
        self.client.delete_object(Bucket="pins", Key="a b/ü")
        self.client.delete_bucket(Bucket="pins")
        wait_until("the end of a pin's time", lambda: self.command("pin", "list")["pins"] == 1, 60)
        error = self.command("download", f"pin:{self.ending['pin']}", code=1)
        expect(error["code"] == "NoSuchPin", f"{error}")
        time.sleep(70)
        expect(self.download(self.kept) == self.body, "another object came back")
        expect(self.used() == self.stored, f"{self.used()} bytes are used, {self.stored} before")
        return f"{self.stored / MIB:.1f} MiB stay"

    def release(self):
        begun = time.monotonic()
        self.command("pin", "rm", self.kept)
        error = self.command("download", f"pin:{self.kept}", code=1)
        expect(error["code"] == "NoSuchPin", f"{error}")
        expect(self.command("pin", "list")["pins"] == 0, "there are pins")
        wait_until("stores to be empty", lambda: self.used() == 0, 90)
        return f"empty after {time.monotonic() - begun:.1f} s"


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        pins = Pins(devnet)
        cases.run("a version is pinned, and what cannot be is refused", pins.pin)
        cases.run("a pinned version outlives its object and its bucket", pins.outlive)
        cases.run("without its pin it is collected", pins.release)
