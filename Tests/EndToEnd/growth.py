"""A network grows from one peer to 14 and shrinks to one again; every object stays readable."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from harness import MIB, Failure, Peer, expect, random_bytes, s3_client, wait_until

TARGET = 14


class Network:
    """Peers started by hand, as an operator would, on free ports of loopback."""

    def __init__(self, programs, data=None, listen=lambda: "127.0.0.1:0", common=()):
        """`common`: flags of all peers."""
        self.common = common
        self.programs = pathlib.Path(programs)
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="cyx-growth-"))
        self.key = self.data / "network.key"
        self.key.write_text("5a" * 32)
        self.peers = []
        self.listen = listen

    def add(self, *flags):
        index = len(self.peers)
        peer = Peer(self.data / str(index))
        peer.folder.mkdir(exist_ok=True)
        peer.command = [
            str(self.programs / "cyxpeer"), "--data-dir", str(peer.folder),
            "--listen", self.listen(), "--admin-listen", "127.0.0.1:0", "--zone", f"z{index % 7}",
            "--network-key", str(self.key), "--profile", "devnet",
            *self.common, *(flags or ("--allocated", "4GiB")),
        ]
        if self.peers:
            peer.command += ["--bootstrap", self.peers[0].read("listen")]
        else:
            peer.command += [
                "--roles", "storage,gateway", "--s3-listen", "127.0.0.1:0",
                "--access-key", "demo", "--secret-key", "demo-secret"]
        self.peers.append(peer)
        peer.restart()
        return peer

    def client(self):
        return s3_client("http://" + self.peers[0].read("s3"))

    def stop(self):
        for peer in self.peers:
            peer.end()
        shutil.rmtree(self.data, ignore_errors=True)


class Growth:
    def __init__(self, programs):
        self.network = Network(programs)
        self.objects = {}

    def start_alone(self):
        gateway = self.network.add()
        self.client = self.network.client()
        wait_until("S3", lambda: self.client.create_bucket(Bucket="grow"), 20)
        self.write("alone")
        self.read_all()
        status = gateway.status()
        expect(status["redundancy"] == "rs(1,0)", f"redundancy is {status['redundancy']}")
        expect(status["survives"] == 0, f"survives {status['survives']}")
        expect("one copy" in status["sentence"], f"no warning in: {status['sentence']}")
        expect(re.search("one copy", gateway.log_tail(200)), "no warning in the log")
        return status["sentence"]

    def write(self, name):
        for size in (1000, 3 * MIB + 17):
            key = f"{name}-{size}"
            self.objects[key] = random_bytes(size, key)
            self.client.put_object(Bucket="grow", Key=key, Body=self.objects[key])

    def read_all(self):
        for key, body in self.objects.items():
            read = self.client.get_object(Bucket="grow", Key=key)["Body"].read()
            expect(read == body, f"{key} came back different")

    def grow(self):
        steps = []
        while len(self.network.peers) < TARGET:
            self.network.add()
            count = len(self.network.peers)
            self.read_all()
            wait_until(
                f"{count} peers", lambda: self.status()["peers"]["alive"] == count, 30)
            self.write(f"with-{count}")
            self.read_all()
            steps.append(f"{count}: {self.status()['redundancy']}")
        return ", ".join(steps)

    def status(self):
        return self.network.peers[0].status()

    def become_whole(self):
        """Views have nine members, and every object, the first included, is 10+4."""

        def everything_is_wide():
            for peer in self.network.peers:
                tables = peer.status()["tables"]
                if tables["full"] != tables["partitions"]:
                    return False
            heads = [self.client.head_object(Bucket="grow", Key=key) for key in self.objects]
            codes = {head["ResponseMetadata"]["HTTPHeaders"]["x-cyx-redundancy"] for head in heads}
            return codes <= {"rs(10,4)", "rows"}

        wait_until("re-coding to rs(10,4)", everything_is_wide, 180, poll_s=1)
        self.read_all()
        return f"{len(self.objects)} objects"

    def lose_four(self):
        for index in (1, 4, 7, 10):
            self.network.peers[index].kill()
        self.read_all()
        for index in (1, 4, 7, 10):
            self.network.peers[index].restart()

    def leave(self, indices):
        """Several at once, as an operator does who takes machines away."""
        leaving = [self.network.peers[index] for index in indices]
        commands = [
            subprocess.Popen(
                [self.network.programs / "cyxcloud", "node", "leave", "--yes", "--data-dir",
                 str(peer.folder)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for peer in leaving]
        wait_until("`status` to tell of them", lambda: self.status()["peers"]["draining"] > 0, 15)
        for command, peer in zip(commands, leaving):
            _, errors = command.communicate(timeout=180)
            expect(command.returncode == 0, f"peer {peer.folder.name} cannot leave: {errors}")
            wait_until("the process to end", lambda: not peer.is_running, 30)
        self.read_all()

    def shrink(self):
        steps = []
        for indices in ([13, 12, 11, 10, 9, 8], [7, 6, 5], [4, 3], [2], [1]):
            start = time.monotonic()
            self.leave(indices)
            left = TARGET - sum(len(group) for group in steps) - len(indices)
            steps.append(indices)
            wait_until(f"{left} peers", lambda: self.status()["peers"]["alive"] == left, 30)
            self.write(f"down-to-{left}")
            self.read_all()
            print(f"     down to {left} in {time.monotonic() - start:.1f} s", flush=True)
        return f"{len(self.objects)} objects at one peer: {self.status()['sentence']}"


def run(cases, programs):
    growth = Growth(programs)
    try:
        cases.run("a single peer works alone, with a warning", growth.start_alone)
        cases.run("every object stays readable from 1 to 14 peers", growth.grow)
        cases.run("old objects are re-coded to 10+4", growth.become_whole)
        cases.run("and survive four losses", growth.lose_four)
        cases.run("13 of 14 peers leave, six of them at once", growth.shrink)
    except Failure as failure:
        print(failure)
    finally:
        growth.network.stop()
