"""Objects as registers while real peers are killed, stopped, wiped and their disks filled.

Clients write, read, replace conditionally and delete a few objects at a time through several
gateways of one account; every answer is recorded, and at the end some order of the operations must
explain all of it. Longer than `make test`: `make consistency`.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import shutil
import threading
import time

import botocore.exceptions

from harness import Cases, Failure, Peer, expect, s3_client, wait_until
from growth import Network
from support.fronts import add_peers, free_udp_address, wait_until_whole
from support.histories import ABSENT, History, check_the_checker

BUCKET = "registers"
CLIENTS = 8
# Objects that are in use at a time, and for how long: histories of one object stay short.
OBJECTS = 6
ROUND_S = 20
# A body of its own for each write: some fit a row, some become segments.
SIZES = (40, 40, 3000, 200_000)


def code_of(error):
    """The S3 error code; None where there was no answer."""
    if isinstance(error, botocore.exceptions.ClientError):
        return error.response["Error"]["Code"]
    return None


class Soak:
    def __init__(self, programs, peers, gateways, seed):
        # Ports stay, as an operator's do: after a power failure nobody is left to tell of new ones.
        self.network = Network(programs, listen=free_udp_address)
        self.peers = peers
        self.gateways = gateways
        self.random = random.Random(seed)
        self.histories = collections.defaultdict(History)
        self.counts = collections.Counter()
        self.round = 0
        self.is_over = threading.Event()

    def start(self):
        add_peers(self.network, self.peers, self.gateways, allocated="1GiB")
        self.client(self.fronts[0]).create_bucket(Bucket=BUCKET)
        wait_until_whole("the views", self.network, 120)

    @property
    def fronts(self):
        return self.network.peers[:self.gateways]

    def client(self, peer):
        return s3_client(
            # A second try would meet what the first one wrote and be refused for that.
            "http://" + peer.read("s3"), retries={"max_attempts": 0}, read_timeout=15,
            connect_timeout=2)

    # Clients

    def work(self, number):
        generator = random.Random(number)
        clients = {}
        written = 0
        while not self.is_over.is_set():
            front = generator.randrange(self.gateways)
            try:
                if front not in clients:
                    clients[front] = self.client(self.fronts[front])
            except OSError:
                time.sleep(0.2)
                continue
            key = f"{self.round}/{generator.randrange(OBJECTS)}"
            written += 1
            name = f"{number}-{written}"
            answered = self.operate(clients[front], key, name, generator)
            if not answered:
                # Its port may be another one after a restart.
                del clients[front]
                time.sleep(0.1)

    def operate(self, client, key, name, generator):
        history = self.histories[key]
        kind = generator.choice(["write", "write", "read", "read", "read", "replace", "delete"])
        if kind == "replace":
            return self.replace(client, key, name, generator)
        if kind == "read":
            return self.read(client, key) is not None
        operation = history.invoke(written=ABSENT if kind == "delete" else name)
        try:
            if kind == "delete":
                client.delete_object(Bucket=BUCKET, Key=key)
            else:
                client.put_object(Bucket=BUCKET, Key=key, Body=self.body(name, generator))
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            return self.note(kind, error)
        operation.succeed()
        self.counts[kind] += 1
        return True

    @staticmethod
    def body(name, generator):
        return name.encode().ljust(generator.choice(SIZES), b".")

    def read(self, client, key):
        """What the object is called, with its ETag; None if there was no answer."""
        operation = self.histories[key].invoke()
        try:
            answer = client.get_object(Bucket=BUCKET, Key=key)
            name = answer["Body"].read().rstrip(b".").decode()
            tag = answer["ETag"]
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            if code_of(error) != "NoSuchKey":
                self.note("read", error)
                return None
            name, tag = ABSENT, None
        operation.succeed(seen=name)
        self.counts["read"] += 1
        return name, tag

    def replace(self, client, key, name, generator):
        found = self.read(client, key)
        if found is None:
            return False
        expected, tag = found
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        operation = self.histories[key].invoke(written=name, expected=expected)
        try:
            client.put_object(
                Bucket=BUCKET, Key=key, Body=self.body(name, generator), **condition)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            code = code_of(error)
            if code in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                self.histories[key].forget(operation)
                self.counts["replace refused"] += 1
                return True
            return self.note("replace", error)
        operation.succeed()
        self.counts["replace"] += 1
        return True

    def note(self, kind, error):
        code = code_of(error)
        self.counts[f"{kind} without outcome: {code or type(error).__name__}"] += 1
        return False

    # Faults

    def disturb(self, until):
        """One fault after another; what was taken away is given back before the next wipe."""
        faults = [self.kill, self.kill, self.stop, self.stop, self.wipe, self.fill, self.power]
        while time.monotonic() < until:
            fault = self.random.choice(faults)
            self.counts[f"fault: {fault.__name__}"] += 1
            fault()
            self.round += 1
            time.sleep(self.random.uniform(0.5, ROUND_S / 4))

    def victims(self, count, first=0):
        return self.random.sample(self.network.peers[first:], count)

    def kill(self):
        """SIGKILL of a few, some for longer than it takes to be replaced."""
        victims = self.victims(self.random.randint(1, 3))
        for victim in victims:
            victim.kill()
        time.sleep(self.random.choice([0.2, 1.0, 6.0]))
        for victim in victims:
            victim.restart()

    def stop(self):
        victims = self.victims(self.random.randint(1, 3))
        for victim in victims:
            victim.pause()
        try:
            time.sleep(self.random.choice([0.5, 2.0, 5.0]))
        finally:
            for victim in victims:
                victim.resume()

    def wipe(self):
        """A peer comes back with its identity and nothing else."""
        wait_until_whole("all views full before a wipe", self.network, 120)
        [victim] = self.victims(1, first=self.gateways)
        victim.kill()
        for path in victim.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        # The peer would rather not start than serve without what it is known to hold.
        (victim.folder / "store-record").unlink(missing_ok=True)
        victim.restart()

    def fill(self):
        """A peer has no room left for a while: shards are refused there."""
        [victim] = self.victims(1, first=self.gateways)
        victim.kill()
        flags, victim.command = victim.command, list(victim.command)
        victim.command[victim.command.index(b"--allocated") + 1] = b"1MiB"
        try:
            victim.restart()
            time.sleep(3)
            victim.kill()
        finally:
            victim.command = flags
        victim.restart()

    def power(self):
        """Everyone at once."""
        for peer in self.network.peers:
            peer.kill()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(Peer.restart, self.network.peers))

    # The whole

    def answer(self, client, key):
        try:
            wait_until(f"an answer for {key}", lambda: self.read(client, key), 60)
        except Failure as failure:
            try:
                client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            except Exception as error:
                found = self.fronts[0].admin(f"/api/v1/where?bucket={BUCKET}&key={key}")
                raise Failure(f"{failure}: {error}; {found}") from error
            raise

    def run(self, seconds):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            workers = [pool.submit(self.work, number) for number in range(CLIENTS)]
            try:
                self.disturb(time.monotonic() + seconds)
            finally:
                self.is_over.set()
            for worker in workers:
                worker.result()
        wait_until_whole("all views full at the end", self.network, 180)
        client = self.client(self.fronts[0])
        for key in list(self.histories):
            self.answer(client, key)
        wrong = [key for key, history in self.histories.items() if not history.is_linearizable()]
        for key in wrong:
            print(f"not linearizable: {key}")
            for operation in self.histories[key].operations:
                print("  ", *(getattr(operation, name) for name in operation.__slots__))
        expect(not wrong, f"{len(wrong)} of {len(self.histories)} histories: {wrong}")
        total = sum(len(history.operations) for history in self.histories.values())
        for name in sorted(self.counts):
            print(f"     {self.counts[name]:6} {name}")
        expect(self.counts["write"] > seconds / 2, "too few writes succeeded to show anything")
        return f"{len(self.histories)} objects, {total} operations, all linearizable"


def soak(cases, programs, peers, gateways, seconds, seed):
    print(f"seed {seed}", flush=True)
    check_the_checker()
    soak = Soak(programs, peers, gateways, seed)
    try:
        cases.run("registers: start", soak.start)
        if not cases.failed:
            cases.run(f"registers: {seconds:g} s of faults", lambda: soak.run(seconds))
    finally:
        soak.network.stop()


def run(cases, programs):
    """The short form, for every commit."""
    soak(cases, programs, peers=10, gateways=2, seconds=30, seed=fresh_seed())


def fresh_seed():
    return int.from_bytes(os.urandom(4))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=fresh_seed())
    options = parser.parse_args()
    cases = Cases()
    soak(cases, options.programs, options.peers, options.gateways, options.minutes * 60,
         options.seed)
    cases.finish()


if __name__ == "__main__":
    main()
