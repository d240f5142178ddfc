"""Damaged shards, peers that hang, and a gateway that dies in mid-upload."""

import collections
import concurrent.futures
import pathlib
import random
import re
import time

import botocore.exceptions

from harness import MIB, Devnet, expect, random_bytes, s3_client, wait_until

PEERS = 16
BODY = random_bytes(64 * MIB, "faults")


class Faults:
    def __init__(self, devnet):
        self.devnet = devnet
        self.client = devnet.s3(max_pool_connections=8)
        self.client.create_bucket(Bucket="faults")
        self.client.put_object(Bucket="faults", Key="big", Body=BODY)

    def read(self, key="big", body=BODY):
        read = self.client.get_object(Bucket="faults", Key=key)["Body"].read()
        expect(read == body, f"{key} came back different")

    def where(self, key="big"):
        return self.devnet.gateway.admin(f"/api/v1/where?bucket=faults&key={key}")["segments"]

    def flip_bits(self):
        """Every shard file of a holder of the object is damaged on disk, in many places."""
        data_holders = {
            holder["peer"] for segment in self.where() for holder in segment["holders"]
            if holder["index"] < segment["k"]}
        victim = next(
            peer for peer in self.devnet.peers[1:] if peer.status()["peer"] in data_holders)
        generator = random.Random(3)
        flipped = 0
        for path in sorted(victim.folder.rglob("values/*")):
            with open(path, "r+b") as file:
                size = path.stat().st_size
                for position in range(4096, size, 16384):
                    file.seek(position + generator.randrange(min(8192, size - position)))
                    byte = file.read(1)
                    file.seek(-1, 1)
                    file.write(bytes([byte[0] ^ 1 << generator.randrange(8)]))
                    flipped += 1
        expect(flipped > 100, f"only {flipped} bits flipped: where are the shards?")
        self.read()
        self.read()
        peer_id = victim.status()["peer"]

        def is_replaced():
            return all(
                len({holder["index"] for holder in segment["holders"]}) == 14
                and all(holder["peer"] != peer_id for holder in segment["holders"])
                for segment in self.where())

        wait_until("damaged shards replaced elsewhere", is_replaced, 90, poll_s=0.5)
        self.read()
        return f"{flipped} bits of peer {victim.folder.name}"

    def hang_in_transfer(self):
        """Two peers stop answering while the object is being read."""
        stream = self.client.get_object(Bucket="faults", Key="big")["Body"]
        received = bytearray(stream.read(4 * MIB))
        holders = {holder["peer"] for segment in self.where() for holder in segment["holders"]}
        victims = [peer for peer in self.devnet.peers[1:]
                   if peer.is_running and peer.status()["peer"] in holders][:2]
        for victim in victims:
            victim.pause()
        begin = time.monotonic()
        try:
            while piece := stream.read(MIB):
                received += piece
            took = time.monotonic() - begin
            expect(bytes(received) == BODY, "the object came back different")
            self.read()
        finally:
            for victim in victims:
                victim.resume()
        wait_until("all peers back", lambda: self.devnet.status()["peers"]["alive"] == PEERS, 60)
        return f"the rest of 64 MiB in {took:.1f} s"

    def kill_gateway(self):
        """Uploads are under way when the gateway is killed; acknowledged ones must be there."""
        acknowledged, generator = {}, random.Random(11)

        def upload(number):
            body = generator.randbytes(generator.choice([2000, 300_000, 5 * MIB]))
            try:
                once = self.devnet.s3(retries={"max_attempts": 1}, read_timeout=20)
                once.put_object(Bucket="faults", Key=f"crash/{number}", Body=body)
                acknowledged[f"crash/{number}"] = body
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                pass
            return f"crash/{number}", body

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(upload, number) for number in range(60)]
            wait_until("some uploads", lambda: len(acknowledged) >= 10, 60, poll_s=0.02)
            self.devnet.gateway.kill()
            bodies = dict(future.result() for future in futures)
        self.devnet.gateway.restart()
        self.client = self.devnet.s3(max_pool_connections=8)
        wait_until("the tables", lambda: self.client.list_buckets()["Buckets"], 30)
        listed = [entry["Key"] for entry in self.client.list_objects_v2(
            Bucket="faults", Prefix="crash/").get("Contents", [])]
        missing = set(acknowledged) - set(listed)
        expect(not missing, f"acknowledged but gone: {sorted(missing)}")
        for key in listed:
            self.read(key, bodies[key])
        self.read()
        return f"{len(acknowledged)} acknowledged, {len(listed)} listed and whole, of 60"

    def garbage_datagrams(self):
        import socket
        host, port = self.devnet.peer(3).read("listen").rsplit(":", 1)
        generator = random.Random(5)
        before = self.devnet.peer(3).resident_mib()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.2)
            for _ in range(20_000):
                first = generator.choice([0xC0, 0xD0, 0xE0, 0xF0, 0x40, generator.randrange(256)])
                size = generator.choice([1, 20, 100, 1200, 1400])
                sender.sendto(bytes([first]) + generator.randbytes(size), (host, int(port)))
            try:
                answer = sender.recv(2048)
            except socket.timeout:
                answer = None
        expect(answer is None, "a stranger got an answer from a private network")
        grown = self.devnet.peer(3).resident_mib() - before
        expect(grown < 32, f"garbage grew the peer by {grown:.0f} MiB")
        self.read()
        return f"20000 datagrams, {grown:.1f} MiB more"

    def garbage_http(self):
        import socket
        host, port = self.devnet.gateway.read("s3").rsplit(":", 1)
        generator = random.Random(6)
        for number in range(200):
            with socket.create_connection((host, int(port)), timeout=5) as sender:
                prefix = [b"", b"GET / HTTP/1.1\r\n", b"PUT /b/k HTTP/1.1\r\nContent-Length: 9\r\n"]
                sender.sendall(prefix[number % 3] + generator.randbytes(generator.randrange(2000)))
        self.read()


class Liars:
    """Two peers of the network are `lyingpeer`: honest until they are told how to lie."""

    COUNT = 8
    SIZE = 8 * MIB
    PAIRS = [("garbage", "stale"), ("truncated", "malformed")]
    NOTICED = re.compile(
        r'msg="a shard is bad or missing" segment=(?P<segment>\w+) index=(?P<index>\d+) '
        r"peer=(?P<peer>\w+)")

    def __init__(self, devnet):
        self.devnet = devnet
        self.bodies = {}
        self.liars = devnet.peers[-2:]
        self.gateways = [devnet.gateway, *devnet.peers[1:3]]

    def restart(self):
        """Starts two more gateways and the two liars, on the data that their peers have."""
        for peer in self.gateways[1:]:
            peer.kill()
            # A further gateway of the same account has the account's keys.
            (peer.folder / "accounts").write_bytes(
                (self.devnet.gateway.folder / "accounts").read_bytes())
            peer.command[peer.command.index(b"--roles") + 1] = b"storage,gateway"
            peer.command += ["--s3-listen", "127.0.0.1:0"]
            peer.restart()
        for peer in self.liars:
            peer.kill()
            peer.command[:1] = [self.devnet.programs / "lyingpeer", peer.folder / "orders"]
            peer.restart()
        self.devnet.wait_repaired()
        expect(self.devnet.status()["peers"]["alive"] == PEERS, "not all peers are back")

    def order(self, lies):
        for peer, lie in zip(self.liars, lies, strict=True):
            (peer.folder / "orders").write_text(lie)

    def told(self):
        """What was lied about, by peer ID: (lie, segment, index)."""
        return {
            peer.status()["peer"]: {
                tuple(line.split()[1:]) for line in (peer.folder / "log").read_text().splitlines()
                if line.startswith("lied ")}
            for peer in self.liars}

    def noticed(self):
        """The lies that a reader found out, by their starts: (peer, segment, index). Of an answer
        that came after enough others had, nobody knows whether it was a lie."""
        found = set()
        for peer in self.devnet.peers:
            for line in (peer.folder / "log").read_text().splitlines():
                match = self.NOTICED.search(line)
                if match:
                    found.add(match.group("peer", "segment", "index"))
        return found

    def read_all(self, bodies):
        for gateway in self.gateways:
            client = s3_client("http://" + gateway.read("s3"))
            for key, body in bodies.items():
                read = client.get_object(Bucket="faults", Key=key)["Body"].read()
                expect(read == body, f"peer {gateway.folder.name} gave {key} back different")

    def holders(self, keys):
        """The peers that hold each (segment, index) of `keys`."""
        holders = collections.defaultdict(set)
        for key in keys:
            where = self.devnet.gateway.admin(f"/api/v1/where?bucket=faults&key={key}")
            for segment in where["segments"]:
                for holder in segment["holders"]:
                    holders[segment["id"], str(holder["index"])].add(holder["peer"])
        return holders

    def store(self):
        """The objects of all lies, before there are any: who was caught once gets no new shards."""
        client = self.devnet.s3()
        for lies in self.PAIRS:
            name = "-".join(lies)
            self.bodies[lies] = {
                f"{name}/{number}": random_bytes(self.SIZE, f"{name} {number}")
                for number in range(self.COUNT)}
            for key, body in self.bodies[lies].items():
                client.put_object(Bucket="faults", Key=key, Body=body)
        for bodies in self.bodies.values():
            wait_until("all shards", lambda keys=bodies: self.is_whole(self.holders(keys)), 60)

    def is_whole(self, holders):
        return len(holders) == 14 * self.COUNT

    def lie(self, *lies):
        """Objects that were stored while all were honest are read while two peers lie."""
        bodies = self.bodies[lies]
        before = self.told()
        self.order(lies)
        try:
            self.read_all(bodies)
            lied = {peer: told - before[peer] for peer, told in self.told().items()}
            expect(all(lied.values()), f"a liar was not asked: {lied}")
            expect({lie for told in lied.values() for lie, _, _ in told} == set(lies), f"{lied}")

            def caught():
                noticed = self.noticed()
                return {
                    (peer, segment, index)
                    for peer, told in self.told().items()
                    for _, segment, index in told - before[peer]
                    if any(peer.startswith(found[0]) and segment.startswith(found[1])
                           and index == found[2] for found in noticed)}

            expect({peer for peer, _, _ in caught()} == set(lied), "a liar was not caught")

            def is_replaced():
                holders = self.holders(bodies)
                return self.is_whole(holders) and all(
                    peer not in holders[segment, index] for peer, segment, index in caught())

            begin = time.monotonic()
            wait_until("shards lied about replaced elsewhere", is_replaced, 90, poll_s=0.5)
            took = time.monotonic() - begin
            self.read_all(bodies)
        finally:
            self.order([""] * len(self.liars))
        count = sum(len(told - before[peer]) for peer, told in self.told().items())
        return (f"{count} shards lied about, {len(caught())} lies caught and replaced "
                f"{took:.1f} s after the reads")


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        faults = Faults(devnet)
        cases.run("flipped bits on one peer's disk", faults.flip_bits)
        cases.run("peers that stop answering in mid-transfer", faults.hang_in_transfer)
        cases.run("garbage datagrams", faults.garbage_datagrams)
        cases.run("garbage to the S3 port", faults.garbage_http)
        cases.run("SIGKILL of the gateway in mid-upload", faults.kill_gateway)
        liars = Liars(devnet)
        cases.run("two more gateways, and two peers that can lie", liars.restart)
        cases.run("objects for them to lie about", liars.store)
        for lies in liars.PAIRS:
            cases.run(f"peers that answer reads with {lies[0]} and {lies[1]} bytes",
                      lambda lies=lies: liars.lie(*lies))
