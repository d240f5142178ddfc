"""Peers are killed, the network repairs itself, and more are killed."""

import concurrent.futures

from harness import MIB, Devnet, expect, random_bytes

# 18 peers: after four losses 14 are left, which is what rs(10,4) needs to be whole again.
PEERS = 18
SIZES = [0, 1, 4096, 4097, 100_000, MIB - 1, MIB, MIB + 1, 10 * MIB + 12_345, 70 * MIB]


class Losses:
    def __init__(self, devnet):
        self.devnet = devnet
        self.client = devnet.s3(max_pool_connections=8)
        self.objects = {f"size-{size}": random_bytes(size, size) for size in SIZES}
        self.objects |= {f"small/{i}": random_bytes(300 + i * 37, i) for i in range(40)}

    def store(self):
        self.client.create_bucket(Bucket="losses")
        for key, body in self.objects.items():
            self.client.put_object(Bucket="losses", Key=key, Body=body)

    def read_all(self):
        def read(key):
            return self.client.get_object(Bucket="losses", Key=key)["Body"].read()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for key, body in zip(self.objects, pool.map(read, self.objects)):
                expect(body == self.objects[key], f"{key} came back different")
        listed = self.client.list_objects_v2(Bucket="losses")["KeyCount"]
        expect(listed == len(self.objects), f"listed {listed} of {len(self.objects)}")

    def kill(self, *indices):
        for index in indices:
            self.devnet.peer(index).kill()

    def survive_four(self):
        self.kill(2, 5, 8, 11)
        self.read_all()

    def repair(self):
        status = self.devnet.wait_repaired(limit_s=180, dead=4)
        self.read_all()
        return f"{status['segments']['total']} segments, {status['tables']['full']} views full"

    def survive_four_more(self):
        self.kill(3, 6, 9, 12)
        self.read_all()

    def write_with_few(self):
        """Ten peers are left: writing goes on, with less redundancy."""
        self.client.put_object(Bucket="losses", Key="late", Body=b"late")
        body = self.client.get_object(Bucket="losses", Key="late")["Body"].read()
        expect(body == b"late", "the late object came back different")


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        losses = Losses(devnet)
        cases.run("objects of every size are stored on 18 peers", losses.store)
        cases.run("all come back", losses.read_all)
        cases.run("all come back with four peers killed", losses.survive_four)
        cases.run("the network repairs itself", losses.repair)
        cases.run("all come back with four more killed", losses.survive_four_more)
        cases.run("writing goes on with ten peers", losses.write_with_few)
