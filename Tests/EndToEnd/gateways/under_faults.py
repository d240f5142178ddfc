"""A mixed load through two gateways while peers die, a gateway dies and a disk is full.

Clients put, overwrite, upload in parts, read, list and delete objects of 4 KiB to 64 MiB, first for a
quiet while and then while a storage peer is killed every 10 s and started again, one of the two
gateways is killed every 45 s (the clients go on with the other), and a disk is filled to its last byte
and emptied. All that was acknowledged must be there at the end, with its bytes.

    under_faults.py --programs .build/release [--minutes 10] [--seed N]
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from growth import Network  # noqa: E402
from harness import MIB, Cases, expect, wait_until  # noqa: E402
from support.fronts import add_peers, client_of, free_udp_address, wait_until_whole  # noqa: E402
from support.workload import Client, Measures  # noqa: E402

BUCKET = "mixed"
PEERS = 16
GATEWAYS = 2
CLIENTS = 4
# The last peer, whose disk is a file system of its own.
DISK_MIB = 1536
KILL_EVERY_S = 10
GATEWAY_EVERY_S = 45
FILL_EVERY_S = 90
FULL_S = 20


class UnderFaults:
    def __init__(self, programs, seed):
        # Ports stay, as an operator's do.
        self.network = Network(programs, listen=free_udp_address)
        self.random = random.Random(seed)
        self.seed = seed
        self.measures = Measures()
        self.faults = collections.Counter()
        self.disk = self.network.data / str(PEERS - 1)
        self.has_disk = False

    def start(self):
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", self.disk]
        self.has_disk = subprocess.run(mount).returncode == 0
        add_peers(self.network, PEERS, GATEWAYS, allocated="1GiB")
        wait_until_whole("the views", self.network, 120)
        self.addresses = [peer.read("s3") for peer in self.fronts]
        client_of(self.fronts[0]).create_bucket(Bucket=BUCKET)
        wait_until("the bucket at the other", lambda: client_of(
            self.fronts[1]).head_bucket(Bucket=BUCKET), 10)
        self.clients = [
            Client(number, self.seed, BUCKET, [f"http://{address}" for address in self.addresses],
                   self.measures) for number in range(CLIENTS)]

    @property
    def fronts(self):
        return self.network.peers[:GATEWAYS]

    # Phases

    def load(self, phase, seconds, disturb=None):
        self.measures.phase = phase
        until = time.monotonic() + seconds

        def work(client):
            while time.monotonic() < until:
                client.step()

        with concurrent.futures.ThreadPoolExecutor(CLIENTS + 3) as pool:
            workers = [pool.submit(work, client) for client in self.clients]
            if disturb:
                workers += [pool.submit(fault, until) for fault in disturb]
            for worker in workers:
                worker.result()
        return f"{self.measures.bytes[phase] / MIB / seconds:.0f} MiB/s"

    def every(self, seconds, fault):
        """What carries `fault` out again and again; it begins with a pause."""

        def run(until):
            due = time.monotonic() + seconds
            while due < until:
                time.sleep(max(0, due - time.monotonic()))
                fault()
                due += seconds

        return run

    def kill_a_peer(self):
        victim = self.random.choice(self.network.peers[GATEWAYS:PEERS - 1])
        self.faults["peer killed"] += 1
        victim.kill()
        time.sleep(self.random.uniform(0.5, 8))
        victim.restart()

    def kill_a_gateway(self):
        at = self.faults["gateway killed"] % GATEWAYS
        victim = self.fronts[at]
        self.faults["gateway killed"] += 1
        victim.kill()
        # Its clients know where it serves.
        listen = victim.command.index(b"--s3-listen") + 1
        victim.command[listen] = self.addresses[at].encode()
        time.sleep(self.random.uniform(2, 10))
        victim.restart()

    def fill_a_disk(self):
        """Nothing can be written there any more; later it can."""
        self.faults["disk filled"] += 1
        ballast = self.disk / "ballast"
        until = time.monotonic() + FULL_S
        with open(ballast, "ab", buffering=0) as file:
            # What is freed meanwhile is taken as well.
            while time.monotonic() < until:
                for size in (MIB, 4096):
                    try:
                        while file.write(bytes(size)) == size:
                            pass
                    except OSError:
                        pass
                time.sleep(0.2)
        ballast.unlink()
        peer = self.network.peers[PEERS - 1]
        if not peer.is_running:
            self.faults["peer ended by a full disk"] += 1
            peer.restart()

    def disturbed(self, seconds):
        faults = [
            self.every(KILL_EVERY_S, self.kill_a_peer),
            self.every(GATEWAY_EVERY_S, self.kill_a_gateway)]
        if self.has_disk:
            faults.append(self.every(FILL_EVERY_S, self.fill_a_disk))
        return self.load("faults", seconds, faults)

    def read_all(self):
        """Every object that was acknowledged, through both gateways by turns."""
        self.measures.phase = "end"
        begin = time.monotonic()
        wait_until_whole("the views at the end", self.network, 180)
        took = time.monotonic() - begin
        count = sum(len(client.contents) for client in self.clients)

        def read(client):
            for number, key in enumerate(sorted(client.contents)):
                client.at = number % GATEWAYS
                client.read(key)

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(read, self.clients))
        certain = sum(
            1 for client in self.clients for found in client.contents.values() if len(found) == 1)
        measures = self.measures
        expect(not measures.wrong, f"{len(measures.wrong)} wrong: {measures.wrong[:5]}")
        expect(not measures.lost, f"{len(measures.lost)} lost: {measures.lost[:5]}")
        return f"{count} keys, {certain} of them certain; views full after {took:.1f} s"

    # What was seen

    def report(self):
        measures = self.measures
        print(f"{'operation':12}" + "".join(
            f"{phase + ' ' + what:>14}" for phase in ("quiet", "faults")
            for what in ("count", "p50 ms", "p99 ms")))
        for kind in sorted({kind for _, kind in measures.latencies}):
            row = f"{kind:12}"
            for phase in ("quiet", "faults"):
                taken = sorted(measures.latencies.get((phase, kind), []))
                row += f"{len(taken):14}"
                for share in (0.5, 0.99):
                    at = min(len(taken) - 1, int(share * len(taken)))
                    row += f"{1000 * taken[at]:14.0f}" if taken else f"{'-':>14}"
            print(row)
        for phase in ("quiet", "faults", "end"):
            for what, counters in (
                    ("requests that failed", measures.tries),
                    ("operations that one gateway failed after the client's retries",
                     measures.failures),
                    ("operations that both failed", measures.refusals)):
                found = ", ".join(
                    f"{count} {kind}" for kind, count in sorted(counters[phase].items()))
                print(f"{phase}: {what}: {found or 'none'}")
        print("faults: " + ", ".join(f"{n} {what}" for what, n in sorted(self.faults.items()))
              + ("" if self.has_disk else "; no disk was filled, since only root may mount one"))
        print(f"wrong: {len(measures.wrong)}, lost: {len(measures.lost)}", flush=True)

    def stop(self, logs):
        if logs:
            os.makedirs(logs, exist_ok=True)
            for peer in self.network.peers:
                shutil.copy(peer.folder / "log", f"{logs}/{peer.folder.name}.log")
        self.network.stop()
        if self.has_disk:
            subprocess.run(["umount", self.disk], check=False)
            shutil.rmtree(self.network.data, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", default=".build/release")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--quiet-minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--logs", help="folder for the peers' logs")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    cases = Cases()
    load = UnderFaults(options.programs, options.seed)
    try:
        cases.run("load: start", load.start)
        if not cases.failed:
            cases.run(f"load: {options.quiet_minutes:g} quiet minutes",
                      lambda: load.load("quiet", options.quiet_minutes * 60))
            cases.run(f"load: {options.minutes:g} minutes of faults",
                      lambda: load.disturbed(options.minutes * 60))
            cases.run("load: all that was acknowledged is there", load.read_all)
            load.report()
    finally:
        load.stop(options.logs)
    cases.finish()


if __name__ == "__main__":
    main()
