"""Packs: small objects that are put at the same time share segments, and nothing else."""

import concurrent.futures
import hashlib
import re
import threading
import time

from harness import Devnet, expect, random_bytes, wait_until

# 7 peers: rs(4,2), and one to spare.
PEERS = 7
CLIENTS = 16
OBJECTS = 400
SIZE = 100_000


class Packs:
    def __init__(self, devnet):
        self.devnet = devnet
        self.local = threading.local()
        devnet.s3().create_bucket(Bucket="packs")

    def client(self):
        if not hasattr(self.local, "client"):
            self.local.client = self.devnet.s3()
        return self.local.client

    def for_all(self, numbers, body):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(body, numbers))

    def used(self):
        return sum(peer.status()["store"]["used"] for peer in self.devnet.peers)

    def metric(self, name):
        text = self.devnet.gateway.admin("/metrics")
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def put(self):
        begin = time.monotonic()

        def put(number):
            answer = self.client().put_object(
                Bucket="packs", Key=f"{number:05}", Body=random_bytes(SIZE, f"pack {number}"))
            body = random_bytes(SIZE, f"pack {number}")
            expect(answer["ETag"].strip('"') == hashlib.md5(body).hexdigest(), "another ETag")

        self.for_all(range(OBJECTS), put)
        took = time.monotonic() - begin
        packs, bodies = (self.metric(f"cyxcloud_{name}_total")
                         for name in ("packs", "packed_objects"))
        expect(bodies == OBJECTS, f"{bodies} of {OBJECTS} objects are in packs")
        expect(packs < OBJECTS, "nothing shares a segment")
        return f"{OBJECTS / took:.0f} objects/s, {bodies / packs:.1f} to a segment"

    def read(self, numbers):
        def get(number):
            body = self.client().get_object(Bucket="packs", Key=f"{number:05}")["Body"].read()
            expect(body == random_bytes(SIZE, f"pack {number}"), f"object {number} is another")

        begin = time.monotonic()
        self.for_all(numbers, get)
        return f"{len(numbers) / (time.monotonic() - begin):.0f} objects/s"

    def delete_half(self):
        full = self.used()

        def delete(number):
            self.client().delete_object(Bucket="packs", Key=f"{number:05}")

        self.for_all(range(0, OBJECTS, 2), delete)
        self.read(range(1, OBJECTS, 2))
        return f"{self.used() / full:.0%} of the space is still used"

    def lose_a_peer(self):
        self.devnet.peer(PEERS - 1).kill()
        return self.read(range(1, OBJECTS, 2))

    def delete_all(self):
        self.devnet.peer(PEERS - 1).restart()
        self.devnet.wait_repaired()

        def delete(number):
            self.client().delete_object(Bucket="packs", Key=f"{number:05}")

        self.for_all(range(1, OBJECTS, 2), delete)
        begun = time.monotonic()
        wait_until("stores to be empty", lambda: self.used() == 0, 180)
        return f"empty after {time.monotonic() - begun:.1f} s"


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        packs = Packs(devnet)
        cases.run("small objects that are put together share segments", packs.put)
        cases.run("each is read as it was put", lambda: packs.read(range(OBJECTS)))
        cases.run("their neighbours' deletion leaves the others", packs.delete_half)
        cases.run("and a peer's death does", packs.lose_a_peer)
        cases.run("with the last of them a segment goes", packs.delete_all)
