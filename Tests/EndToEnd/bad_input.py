"""What an operator can get wrong: each mistake is named, with its remedy, and nothing is lost."""

import os
import pathlib
import shutil
import socket
import subprocess

import botocore.exceptions

from growth import Network
from harness import MIB, Failure, expect, random_bytes, wait_until


class BadInput:
    def __init__(self, programs):
        self.network = Network(programs)
        self.network.add()
        self.client = self.network.client()

    def start(self, *flags, limit_s=20):
        """Runs a peer that must fail; returns (exit code, everything it printed)."""
        result = subprocess.run(
            [self.network.programs / "cyxpeer", "--admin-listen", "127.0.0.1:0",
             "--profile", "devnet", *map(str, flags)],
            capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL)
        return result.returncode, result.stdout + result.stderr

    def refused(self, *flags, words, code=1):
        returned, text = self.start(*flags)
        expect(returned == code, f"exit code {returned}, expected {code}:\n{text}")
        for word in words:
            expect(word in text, f"`{word}` is missing in:\n{text}")
        return text.strip().splitlines()[-1][:120]

    def port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % holder.getsockname()[1]
            return self.refused(
                "--data-dir", self.network.data / "port", "--listen", address,
                words=["NET-01", address, "--listen"])

    def directory_in_use(self):
        return self.refused(
            "--data-dir", self.network.peers[0].folder, "--listen", "127.0.0.1:0",
            words=["STORE-04", "in use"])

    def foreign_directory(self):
        """The shards of one identity under another's key."""
        victim = self.network.add()
        wait_until("peer", victim.is_serving, 20)
        victim.end()
        copy = self.network.data / "foreign"
        shutil.copytree(victim.folder, copy)
        (copy / "identity.key").write_text("11" * 32 + "\n")
        return self.refused(
            "--data-dir", copy, "--listen", "127.0.0.1:0",
            "--network-key", self.network.key, words=["STORE-02", "belongs to peer"])

    def no_permission(self):
        """As a user without the right to the folder (root may write everywhere)."""
        folder = self.network.data / "forbidden"
        folder.mkdir(mode=0o700)
        command = [
            str(self.network.programs / "cyxpeer"), "--data-dir", str(folder / "data"),
            "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        if os.geteuid() == 0:
            os.chmod(self.network.data, 0o755)
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        else:
            os.chmod(folder, 0o500)
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
        text = result.stdout + result.stderr
        expect(result.returncode == 1 and "ermission denied" in text, text)
        expect(str(folder) in text, f"the folder is not named in: {text}")

    def wrong_key(self):
        key = self.network.data / "other.key"
        key.write_text("a5" * 32)
        folder = self.network.data / "stranger"
        address = self.network.peers[0].read("listen")
        with open(self.network.data / "stranger.log", "wb+") as log:
            process = subprocess.Popen(
                [self.network.programs / "cyxpeer", "--data-dir", folder,
                 "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                 "--profile", "devnet", "--network-key", key, "--bootstrap", address],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                path = pathlib.Path(log.name)
                wait_until(
                    "the explanation",
                    lambda: f"no answer from {address}" in path.read_text(errors="replace"), 20)
            finally:
                process.terminate()
                process.wait(timeout=20)
        alive = self.network.peers[0].status()["peers"]["alive"]
        expect(alive <= 2, f"a stranger joined: {alive} peers")

    def bad_key_file(self):
        key = self.network.data / "short.key"
        key.write_text("abc")
        return self.refused(
            "--data-dir", self.network.data / "k", "--listen", "127.0.0.1:0",
            "--network-key", key, words=["64 hexadecimal digits", str(key)])

    def usage(self):
        return self.refused("--zoen", "a", words=["did you mean --zone?"], code=2)

    def full_disk(self):
        """A volume fills in mid-write: clear error, reads go on, nothing acknowledged is lost."""
        mount = self.network.data / "small"
        mount.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=768m", "tmpfs", mount],
            capture_output=True, text=True)
        if made.returncode != 0:
            raise Failure(f"this test needs the right to mount a tmpfs: {made.stderr.strip()}")
        alone = Network(self.network.programs, mount)
        try:
            return self.fill(alone, alone.add("--allocated", "512MiB"))
        finally:
            for peer in alone.peers:
                peer.end()
            subprocess.run(["umount", mount], check=True)

    def fill(self, alone, gateway):
        client = alone.client()
        wait_until("S3", lambda: client.create_bucket(Bucket="full"), 20)
        stored = {}

        def put(number):
            body = random_bytes(4 * MIB, number)
            client.put_object(Bucket="full", Key=str(number), Body=body)
            stored[str(number)] = body

        def check(when):
            for key, body in stored.items():
                read = client.get_object(Bucket="full", Key=key)["Body"].read()
                expect(read == body, f"{key} came back different {when}")

        for number in range(8):
            put(number)
        filler = alone.data / "filler"
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(bytes(MIB))
                    file.flush()
            except OSError:
                pass
        error = None
        for number in range(8, 40):
            try:
                put(number)
            except botocore.exceptions.ClientError as caught:
                error = str(caught)
                break
        expect(error, "128 MiB more fitted into a full volume")
        expect("space" in error.lower() or "full" in error.lower(), f"unclear: {error}")
        check("while the disk is full")
        expect(gateway.is_running, "the peer ended")
        filler.unlink()
        wait_until("writing again", lambda: put(99) or True, 60)
        gateway.kill()
        gateway.restart()
        client = alone.client()
        wait_until("the tables", lambda: client.list_buckets()["Buckets"], 30)
        check("after a restart")
        return f"{len(stored)} objects kept; {error[:150]}"


def run(cases, programs):
    bad = BadInput(programs)
    try:
        cases.run("a port in use", bad.port_in_use)
        cases.run("a data directory in use", bad.directory_in_use)
        cases.run("a data directory of another identity", bad.foreign_directory)
        cases.run("a data directory without permission", bad.no_permission)
        cases.run("a wrong network key", bad.wrong_key)
        cases.run("a network key of the wrong form", bad.bad_key_file)
        cases.run("an unknown flag", bad.usage)
        cases.run("a full disk in mid-write", bad.full_disk)
    finally:
        bad.network.stop()
