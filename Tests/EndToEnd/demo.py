"""`make demo`: 20 peers store real files, lose four of their number twice, and give all back."""

import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import time

import boto3.s3.transfer

from harness import MIB, Devnet, expect, sha256_of_file, wait_until
from support import placement_picture

PEERS = 20
LOSSES = 4
BUCKET = "demo"
TOTAL_BYTES = 256 * MIB
SMALLEST_FILE = 1000
LARGE_FILE = MIB
LARGEST_FILE = 48 * MIB
SMALL_FILES = 40
# Where real files of every size are found on any Debian machine.
FILE_ROOTS = ("/usr/lib", "/usr/share", "/usr/bin")


def collect_files(programs):
    """Files of this machine, our own programs first, until `TOTAL_BYTES` are reached, and some
    small ones; chosen the same on every run of one machine."""
    ours = sorted(path for path in pathlib.Path(programs).glob("cyx*") if _size(path))
    others = []
    for root in FILE_ROOTS + (toolchain_libraries(),):
        for folder, names, files in os.walk(root):
            names.sort()
            others += [pathlib.Path(folder, name) for name in sorted(files)]
    random.Random(1).shuffle(others)
    # Stable: large ones first, else shuffled.
    others.sort(key=lambda path: _size(path) < LARGE_FILE)
    chosen, total = [], 0
    for path in ours + others:
        if total >= TOTAL_BYTES:
            break
        if SMALLEST_FILE <= _size(path) <= LARGEST_FILE:
            chosen.append(path)
            total += _size(path)
    expect(total >= TOTAL_BYTES, f"only {total / MIB:.0f} MiB of files found")
    small = [path for path in others if SMALLEST_FILE <= _size(path) < 8192]
    return chosen + [path for path in small if path not in chosen][:SMALL_FILES]


def toolchain_libraries():
    """Where the Swift that built the programs keeps its libraries."""
    swift = shutil.which("swift")
    return str(pathlib.Path(swift).resolve().parent.parent / "lib") if swift else "/nonexistent"


def _size(path):
    try:
        return path.stat().st_size if path.is_file() and not path.is_symlink() else 0
    except OSError:
        return 0


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(function, items))


class Demo:
    def __init__(self, devnet, files, folder):
        self.devnet = devnet
        self.folder = folder
        self.files = {f"{index:03d}{path}": path for index, path in enumerate(files)}
        self.digests = {}
        self.table = []
        self.client = devnet.s3(max_pool_connections=8)
        self.transfer = boto3.s3.transfer.TransferConfig(
            multipart_threshold=32 * MIB, multipart_chunksize=16 * MIB, max_concurrency=4)
        self.total = sum(path.stat().st_size for path in files)

    def say(self, what, value):
        self.table.append((what, value))
        print(f"  {what}: {value}", flush=True)

    def upload(self):
        self.client.create_bucket(Bucket=BUCKET)
        self.digests = {key: sha256_of_file(path) for key, path in self.files.items()}
        begin = time.monotonic()
        in_parallel(
            lambda key: self.client.upload_file(
                str(self.files[key]), BUCKET, key, Config=self.transfer),
            self.files)
        took = time.monotonic() - begin
        self.say("written", f"{len(self.files)} files, {self.total / MIB:.0f} MiB in {took:.1f} s "
                 f"({self.total / MIB / took:.0f} MiB/s)")

    def read_back(self, when):
        begin = time.monotonic()

        def check(key):
            target = self.folder / key.replace("/", "_")
            self.client.download_file(BUCKET, key, str(target), Config=self.transfer)
            same = sha256_of_file(target) == self.digests[key]
            target.unlink()
            return key if not same else None

        wrong = [key for key in in_parallel(check, self.files) if key]
        took = time.monotonic() - begin
        expect(not wrong, f"read back different: {wrong[:3]}")
        self.say(f"read back {when}", f"{len(self.files)} of {len(self.files)} identical in "
                 f"{took:.1f} s ({self.total / MIB / took:.0f} MiB/s)")

    def kill(self, indices):
        for index in indices:
            self.devnet.peer(index).kill()
        self.killed_at = time.monotonic()
        self.say("killed (SIGKILL)", "peers " + ", ".join(map(str, indices)))

    def placement(self, limit=24):
        """(label, k, {peer: index}) of the segments of the first files."""
        rows = []
        for key in self.files:
            where = self.devnet.gateway.admin(f"/api/v1/where?bucket={BUCKET}&key={_quoted(key)}")
            for number, segment in enumerate(where["segments"]):
                holders = {holder["peer"]: holder["index"] for holder in segment["holders"]}
                name = key.rsplit("/", 1)[-1][:18]
                rows.append((f"{name} #{number}", segment["k"], holders))
            if len(rows) >= limit:
                break
        return rows[:limit]

    def wait_repaired(self, dead):
        status = self.devnet.wait_repaired(limit_s=300, dead=dead)
        took = time.monotonic() - self.killed_at
        self.say("repaired", f"within {took:.1f} s of the kill; {status['segments']['total']} "
                 f"segments whole again, "
                 f"{status['segments']['bytes_repaired'] / MIB:.0f} MiB rebuilt")
        return status


def _quoted(key):
    import urllib.parse
    return urllib.parse.quote(key, safe="")


def run(programs, folder, picture):
    files = collect_files(programs)
    with Devnet(programs, PEERS, data=folder / "net") as devnet:
        status = wait_until("14 storage peers", lambda: _redundant(devnet), 60)
        demo = Demo(devnet, files, folder)
        peers = [peer.status()["peer"] for peer in devnet.peers]
        demo.say("network", f"{PEERS} peers, {status['redundancy']}, {devnet.endpoint}")
        demo.upload()
        panels = [("after the upload", demo.placement(), set())]
        victims = random.Random(7).sample(range(1, PEERS), 2 * LOSSES)
        first, second = victims[:LOSSES], victims[LOSSES:]
        demo.kill(first)
        panels.append(
            ("four peers killed", demo.placement(), {peers[index] for index in first}))
        demo.read_back("with 4 of 20 dead")
        demo.wait_repaired(dead=LOSSES)
        panels.append(("repaired", demo.placement(), {peers[index] for index in first}))
        demo.kill(second)
        demo.read_back("with 8 of 20 dead")
        panels.append(
            ("four more killed", demo.placement(), {peers[index] for index in victims}))
        placement_picture.draw(picture, panels, peers)
    width = max(len(what) for what, _ in demo.table)
    print("\n" + "\n".join(f"  {what:<{width}}  {value}" for what, value in demo.table))
    print(f"  {'picture':<{width}}  {picture}")


def _redundant(devnet):
    status = devnet.status()
    return status if status["redundancy"] == "rs(10,4)" else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="folder of cyxpeer and cyxcloud")
    parser.add_argument("--data", default="demo-data", help="folder for the network's data")
    parser.add_argument("--picture", default="demo.svg")
    options = parser.parse_args()
    folder = pathlib.Path(options.data).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        run(options.programs, folder, options.picture)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
