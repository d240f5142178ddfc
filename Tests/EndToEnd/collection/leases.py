"""Leases: what an account stored goes once it has not been asked for, and what is renewed in time stays."""

import time

from growth import Network
from harness import MIB, expect, random_bytes, s3_client, wait_until

# 5 peers that store: rs(3,2).
STORERS = 5
SIZE = 4 * MIB
# A devnet's grace: how long after a lease's end holders keep what it covered.
LEASE_S = 5
GRACE_S = 20
# A devnet's holders ask for what has lain here for a minute, every five seconds, and empty their
# trash after half of one.
ASKED_AFTER_S = 60
TRASH_S = 30
SLACK_S = 30


class Leases:
    def __init__(self, network):
        self.network = network
        network.add()
        for _ in range(STORERS - 1):
            network.add()
        self.lasting = network.client()
        wait_until("S3", lambda: self.lasting.create_bucket(Bucket="lasting"), 20)
        self.tenant = network.add(
            "--roles", "gateway", "--s3-listen", "127.0.0.1:0", "--access-key", "tenant",
            "--secret-key", "tenant-secret", "--lease", f"{LEASE_S}s")
        self.bodies = {name: random_bytes(SIZE, name) for name in ("kept", "leased")}

    def client(self):
        return s3_client(
            "http://" + self.tenant.read("s3"), "tenant", "tenant-secret")

    def stored(self, kind):
        return sum(
            peer.status()["store"][kind] for peer in self.network.peers[:STORERS])

    def store(self):
        self.lasting.put_object(Bucket="lasting", Key="kept", Body=self.bodies["kept"])
        wait_until("all of it to be stored", lambda: self.settled(0), 30)
        self.others = self.stored("used")
        client = self.client()
        wait_until("S3", lambda: client.create_bucket(Bucket="leased"), 20)
        client.put_object(Bucket="leased", Key="leased", Body=self.bodies["leased"])
        self.begun = time.monotonic()
        wait_until("all of it to be stored", lambda: self.settled(self.others), 30)
        self.all = self.stored("used")
        return f"{self.all / MIB:.1f} MiB, {(self.all - self.others) / MIB:.1f} of them leased"

    def settled(self, before):
        """Five thirds of an object, and no less: stragglers come a little later."""
        return self.stored("used") >= before + SIZE * 5 // 3

    def renew(self):
        """While its gateway runs an account keeps what it has, for many leases and graces."""
        while time.monotonic() < self.begun + ASKED_AFTER_S + 2 * LEASE_S:
            expect(self.stored("trash") == 0, "something of a lease that is renewed was deleted")
            time.sleep(1)
        expect(self.stored("used") == self.all, "stores have something else than before")

    def stop(self):
        """The account's gateway dies, and with it what renews the lease."""
        self.tenant.kill()
        self.stopped = time.monotonic()

    def lapse(self):
        self.stop()
        # The last renewal was a third of a lease before at most.
        while time.monotonic() < self.stopped + LEASE_S * 2 / 3 + GRACE_S - 1:
            expect(self.stored("trash") == 0, "something was deleted before the grace's end")
            time.sleep(0.5)
        wait_until("what was leased to go to the trash",
                   lambda: self.stored("used") == self.others, SLACK_S)
        expect(self.stored("trash") >= self.all - self.others, "it is not in the trash")
        return f"{time.monotonic() - self.stopped:.1f} s after the gateway's end"

    def come_back(self):
        self.tenant.restart()
        wait_until("what was leased to come back",
                   lambda: self.stored("used") == self.all and self.stored("trash") == 0, SLACK_S)
        client = self.client()
        read = wait_until(
            "S3", lambda: client.get_object(Bucket="leased", Key="leased")["Body"].read(), 20)
        expect(read == self.bodies["leased"], "another object came back")

    def go(self):
        self.stop()
        wait_until("it to go for good",
                   lambda: (self.stored("used"), self.stored("trash")) == (self.others, 0),
                   LEASE_S + GRACE_S + TRASH_S + 2 * SLACK_S)
        read = self.lasting.get_object(Bucket="lasting", Key="kept")["Body"].read()
        expect(read == self.bodies["kept"], "another account's object came back different")
        return f"{time.monotonic() - self.stopped:.1f} s after the gateway's end"


def run(cases, programs):
    network = Network(programs)
    try:
        leases = Leases(network)
        cases.run("one account has a lease and another has none", leases.store)
        cases.run("what a gateway renews stays", leases.renew)
        cases.run("shards go to the trash a while after their lease's end", leases.lapse)
        cases.run("and come back when it is renewed in time", leases.come_back)
        cases.run("without it they go, and nobody else's do", leases.go)
    finally:
        network.stop()
