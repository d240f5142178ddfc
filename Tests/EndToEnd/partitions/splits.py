"""Partitions split as a network grows, while clients write and read."""

import threading
import time

from growth import Network
from harness import expect, random_bytes, wait_until
from linearizability import free_udp_address

# A network should have 8 partitions for every nine peers: 16 are too few from 19 peers on.
BITS = 4
BEFORE = 18
AFTER = 20
# Members of a view.
SEATS = 9
WRITERS = 3
# Objects of each that are read at the end, spread over the time of their writing.
CHECKED = 50
SIZE = 6000


class Writer(threading.Thread):
    """Puts and gets objects of its own, one after another, until it is told to stop."""

    def __init__(self, client, number):
        super().__init__(daemon=True)
        self.client = client
        self.number = number
        self.stopping = threading.Event()
        self.written = 0
        self.slowest = 0
        self.problem = None

    def name(self, index):
        return f"{self.number}/{index}"

    def run(self):
        try:
            while not self.stopping.is_set():
                begun = time.monotonic()
                name = self.name(self.written)
                body = random_bytes(SIZE, name)
                self.client.put_object(Bucket="split", Key=name, Body=body)
                read = self.client.get_object(Bucket="split", Key=name)["Body"].read()
                expect(read == body, f"{name} came back different")
                self.written += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
        except Exception as error:  # the case tells of it
            self.problem = f"{type(error).__name__}: {error}"

    def check(self):
        for index in range(0, self.written, max(1, self.written // CHECKED)):
            name = self.name(index)
            read = self.client.get_object(Bucket="split", Key=name)["Body"].read()
            expect(read == random_bytes(SIZE, name), f"{name} came back different")


class Splits:
    def __init__(self, programs):
        self.network = Network(
            programs, listen=free_udp_address, common=("--genesis-bits", str(BITS)))
        self.writers = []

    def tables(self):
        return [peer.status()["tables"] for peer in self.network.peers]

    def has_split(self, bits):
        """Whether 2^bits partitions have all of their members, and none is about to change."""
        # Who came last has none: a partition that splits keeps its members.
        tables = [one for one in self.tables() if one["partitions"]]
        return (
            all(one["partition_bits"] == bits and one["full"] == one["partitions"]
                and one["changing"] == 0 for one in tables)
            and sum(one["partitions"] for one in tables) == SEATS << bits)

    def begin(self):
        for _ in range(BEFORE):
            self.network.add()
        client = self.network.client()
        wait_until("S3", lambda: client.create_bucket(Bucket="split"), 30)
        wait_until("views of nine", lambda: self.has_split(BITS), 120, poll_s=1)
        self.writers = [Writer(self.network.client(), number) for number in range(WRITERS)]
        for writer in self.writers:
            writer.start()
        time.sleep(5)
        expect(self.has_split(BITS), "a partition has split that need not")

    def grow(self):
        begun = time.monotonic()
        for _ in range(AFTER - BEFORE):
            self.network.add()
        wait_until("all partitions to split", lambda: self.has_split(BITS + 1), 60, poll_s=0.5)
        took = time.monotonic() - begun
        time.sleep(3)
        self.stop()
        for writer in self.writers:
            writer.join(timeout=120)
            expect(not writer.is_alive() and writer.problem is None, f"a client: {writer.problem}")
        gauge = "cyxcloud_table_partition_bits"
        lines = self.network.peers[0].admin("/metrics").splitlines()
        shown = [line.split()[-1] for line in lines if line.startswith(gauge)]
        expect([float(value) for value in shown] == [BITS + 1], f"{gauge} is {shown}")
        slowest = max(writer.slowest for writer in self.writers)
        count = sum(writer.written for writer in self.writers)
        return f"{took:.1f} s, {count} objects written, the slowest put and get {slowest:.2f} s"

    def stop(self):
        for writer in self.writers:
            writer.stopping.set()

    def read(self):
        """Through disks alone as well: every peer starts again."""
        self.stop()
        for writer in self.writers:
            writer.check()
        for peer in self.network.peers:
            peer.kill()
        for peer in self.network.peers:
            peer.restart()
        client = self.network.client()
        wait_until("S3", lambda: client.head_bucket(Bucket="split"), 60)
        wait_until("views to serve", lambda: self.has_split(BITS + 1), 60, poll_s=0.5)
        for writer in self.writers:
            writer.client = client
            writer.check()
        return f"{sum(writer.written for writer in self.writers)} objects were written"


def run(cases, programs):
    splits = Splits(programs)
    try:
        cases.run("18 peers begin with 16 partitions", splits.begin)
        cases.run("20 peers have 32, and clients notice nothing", splits.grow)
        cases.run("everything is there, also after all have started again", splits.read)
    finally:
        splits.stop()
        splits.network.stop()
