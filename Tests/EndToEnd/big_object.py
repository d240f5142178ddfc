"""A 4 GiB object goes in and out while the gateway's resident memory is watched.

    big_object.py --programs .build/release [--gib 4] [--peers 16]
"""

import argparse
import hashlib
import random
import threading
import time

from harness import MIB, Devnet, expect

MEMORY_LIMIT_MIB = 256
PIECE = 4 * MIB


class SeededStream:
    """A readable stream of seeded bytes that is never held whole; remembers its SHA-256."""

    def __init__(self, size):
        self.size = size
        self.seek(0)

    def seek(self, offset, whence=0):
        if (offset, whence) == (0, 2):
            self.position = self.size
            return self.size
        expect((offset, whence) == (0, 0), "only a rewind is supported")
        self.position = 0
        self.buffer = b""
        self.generator = random.Random(4)
        self.digest = hashlib.sha256()
        return 0

    def tell(self):
        return self.position

    def read(self, count=-1):
        count = min(self.size - self.position, count if count >= 0 else self.size)
        while len(self.buffer) < count:
            self.buffer += self.generator.randbytes(PIECE)
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        self.position += count
        self.digest.update(piece)
        return piece


class MemoryWatch(threading.Thread):
    def __init__(self, peer):
        super().__init__(daemon=True)
        self.peer = peer
        self.peak = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.2):
            self.peak = max(self.peak, self.peer.resident_mib())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--peers", type=int, default=16)
    options = parser.parse_args()
    size = int(options.gib * 1024) * MIB
    with Devnet(options.programs, options.peers) as devnet:
        client = devnet.s3(
            retries={"max_attempts": 1}, request_checksum_calculation="when_required")
        client.create_bucket(Bucket="big")
        watch = MemoryWatch(devnet.gateway)
        watch.start()
        body = SeededStream(size)
        begin = time.monotonic()
        client.put_object(Bucket="big", Key="big", Body=body, ContentLength=size)
        put_s = time.monotonic() - begin
        sent = body.digest.hexdigest()
        begin = time.monotonic()
        digest = hashlib.sha256()
        stream = client.get_object(Bucket="big", Key="big")["Body"]
        while piece := stream.read(PIECE):
            digest.update(piece)
        get_s = time.monotonic() - begin
        watch.done.set()
        print(f"put  {size / MIB / put_s:7.1f} MiB/s (with the client's own hashing)")
        print(f"get  {size / MIB / get_s:7.1f} MiB/s (with the client's own hashing)")
        print(f"gateway peak resident memory {watch.peak:.0f} MiB")
        expect(digest.hexdigest() == sent, "the object came back different")
        expect(watch.peak < MEMORY_LIMIT_MIB, f"more than {MEMORY_LIMIT_MIB} MiB")
        print("identical")


if __name__ == "__main__":
    main()
