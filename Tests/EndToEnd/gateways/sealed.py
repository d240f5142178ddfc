"""Access keys for gateways of others: each serves one bucket of an account, without its seed."""

import json
import os
import pathlib
import subprocess
import time

from gateways.together import code_of
from growth import Network
from harness import MIB, expect, random_bytes, s3_client, wait_until
from support.fronts import client_of, wait_until_whole

# Rows have five custodians in a network of this size, and do not move to peers that come later: the
# named gateway, which comes late, has to show others that it may write.
OWNER, STORERS, NAMED, THIRD = 0, 5, 6, 7
BUCKETS = ("sealed-a", "sealed-b", "sealed-c")
OTHER = "sealed-other"
# How long a gateway of the devnet's profile may serve a key that was revoked.
NOTICE_S = 4.0
SLACK_S = 1.0
SIZES = (100, 60_000, 3 * MIB + 17)


class Sealed:
    def __init__(self, programs):
        self.programs = pathlib.Path(programs)
        self.network = Network(programs)

    def start(self):
        gateway = (
            "--allocated", "4GiB", "--roles", "storage,gateway", "--s3-listen", "127.0.0.1:0",
            "--s3-foreign-keys")
        self.network.add()
        for _ in range(STORERS):
            self.network.add("--allocated", "4GiB")
        wait_until_whole("the views", self.network, 90)
        self.network.add(*gateway, "--access-key", "second", "--secret-key", "second-secret")
        self.network.add(*gateway, "--access-key", "third", "--secret-key", "third-secret")
        wait_until_whole("the views with all", self.network, 90)
        self.owner = client_of(self.network.peers[OWNER])
        for bucket in (*BUCKETS, OTHER):
            self.owner.create_bucket(Bucket=bucket)
            self.owner.put_object(Bucket=bucket, Key="in/hello", Body=b"of the owner")

    def cyxcloud(self, *words, status=0):
        environment = dict(
            os.environ, AWS_ENDPOINT_URL="http://" + self.network.peers[OWNER].read("s3"),
            AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo-secret")
        done = subprocess.run(
            [self.programs / "cyxcloud", *words], env=environment, capture_output=True, text=True,
            timeout=60)
        expect(done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}")
        return done

    def create(self, name, *words):
        made = self.cyxcloud("key", "create", name, *words, "--json")
        return json.loads(made.stdout.splitlines()[-1])["result"]

    def client(self, peer, key, **options):
        options.setdefault("retries", {"max_attempts": 0})
        return s3_client(
            "http://" + self.network.peers[peer].read("s3"), key["access_key"], key["secret_key"],
            **options)

    def create_keys(self):
        self.gateway_key = self.network.peers[NAMED].read("gateway-key")
        expect(len(self.gateway_key) == 64, self.gateway_key)
        told = self.cyxcloud("status", "--data-dir", str(self.network.peers[NAMED].folder)).stdout
        expect(self.gateway_key in told, told)
        done = self.cyxcloud("key", "create", "all", "--for-gateway", self.gateway_key, status=2)
        expect("--bucket" in done.stderr, done.stderr)
        for word in ("12", "z" * 64, "0" * 64):
            done = self.cyxcloud(
                "key", "create", "bad", "--bucket", BUCKETS[0], "--for-gateway", word, status=1)
            expect("gateway" in done.stderr, done.stderr)
        self.keys = {
            bucket: self.create(bucket, "--bucket", bucket, "--for-gateway", self.gateway_key)
            for bucket in BUCKETS}
        listed = self.cyxcloud("key", "list").stdout
        expect(listed.count(self.gateway_key[:12]) == len(BUCKETS), listed)
        expect("bad" not in listed, listed)

    def serve(self):
        """What either gateway writes, the other reads and deletes."""
        for bucket in BUCKETS:
            named = self.client(NAMED, self.keys[bucket])
            names = [entry["Name"] for entry in named.list_buckets()["Buckets"]]
            expect(names == [bucket], names)
            read = named.get_object(Bucket=bucket, Key="in/hello")["Body"].read()
            expect(read == b"of the owner", read)
            for writer, reader in ((named, self.owner), (self.owner, named)):
                for size in SIZES:
                    body = random_bytes(size, size)
                    for _ in range(2):
                        writer.put_object(Bucket=bucket, Key=f"{size}", Body=body)
                    got = reader.get_object(Bucket=bucket, Key=f"{size}")["Body"].read()
                    expect(got == body, f"{size} bytes came back different")
                    listed = reader.list_objects_v2(Bucket=bucket)["Contents"]
                    names = [entry["Key"] for entry in listed]
                    expect(f"{size}" in names, f"{size} is not among {names}")
            named.copy_object(
                Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": f"{SIZES[2]}"})
            got = self.owner.get_object(Bucket=bucket, Key="copy")["Body"].read()
            expect(got == random_bytes(SIZES[2], SIZES[2]), "the copy is another")
            self.upload(bucket, named, self.owner)
            self.upload(bucket, self.owner, named)
            named.delete_object(Bucket=bucket, Key="in/hello")
            code = code_of(lambda: self.owner.get_object(Bucket=bucket, Key="in/hello"))
            expect(code == "NoSuchKey", code)
            self.owner.delete_object(Bucket=bucket, Key="copy")
            code = code_of(lambda: named.get_object(Bucket=bucket, Key="copy"))
            expect(code == "NoSuchKey", code)
            self.owner.put_object(Bucket=bucket, Key="in/hello", Body=b"of the owner")

    def upload(self, bucket, beginner, ender):
        """Begun at one gateway, filled at both, completed at the other."""
        name = {"Bucket": bucket, "Key": "parts"}
        name["UploadId"] = beginner.create_multipart_upload(**name)["UploadId"]
        bodies = [random_bytes(size, size) for size in (5 * MIB, 5 * MIB + 1, 100)]
        parts = []
        for index, body in enumerate(bodies):
            client = (beginner, ender)[index % 2]
            tag = client.upload_part(PartNumber=index + 1, Body=body, **name)["ETag"]
            parts.append({"PartNumber": index + 1, "ETag": tag})
        ender.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
        for client in (beginner, ender):
            read = client.get_object(Bucket=bucket, Key="parts")["Body"].read()
            expect(read == b"".join(bodies), "the object came back different")

    def confine(self):
        key = self.keys[BUCKETS[0]]
        third = self.client(THIRD, key)
        code = code_of(lambda: third.get_object(Bucket=BUCKETS[0], Key="in/hello"))
        expect(code == "InvalidAccessKeyId", f"at a third gateway: {code}")
        named = self.client(NAMED, key)
        refused = {
            "another bucket": lambda: named.get_object(Bucket=BUCKETS[1], Key="in/hello"),
            "a bucket without a key": lambda: named.list_objects_v2(Bucket=OTHER),
            "a new bucket": lambda: named.create_bucket(Bucket="sealed-new"),
            "the end of its bucket": lambda: named.delete_bucket(Bucket=BUCKETS[0]),
            "settings": lambda: named.put_bucket_versioning(
                Bucket=BUCKETS[0], VersioningConfiguration={"Status": "Enabled"}),
            "a copy of another's": lambda: named.copy_object(
                Bucket=BUCKETS[0], Key="x", CopySource={"Bucket": OTHER, "Key": "in/hello"}),
        }
        for what, call in refused.items():
            code = code_of(call)
            expect(code == "AccessDenied", f"{what}: {code}")
        reader = self.create(
            "reader", "--bucket", BUCKETS[0], "--for-gateway", self.gateway_key, "--prefix", "in/",
            "--readonly")
        named = self.client(NAMED, reader)
        read = named.get_object(Bucket=BUCKETS[0], Key="in/hello")["Body"].read()
        expect(read == b"of the owner", read)
        listed = named.list_objects_v2(Bucket=BUCKETS[0], Prefix="in/")["Contents"]
        expect([entry["Key"] for entry in listed] == ["in/hello"], listed)
        for what, call in {
            "outside the prefix": lambda: named.get_object(Bucket=BUCKETS[0], Key="100"),
            "a list of all": lambda: named.list_objects_v2(Bucket=BUCKETS[0]),
            "a write": lambda: named.put_object(Bucket=BUCKETS[0], Key="in/x", Body=b"x"),
            "a deletion": lambda: named.delete_object(Bucket=BUCKETS[0], Key="in/hello"),
        }.items():
            expect(code_of(call) == "AccessDenied", f"{what}: {code_of(call)}")
        wrong = dict(key, secret_key="0" * 40)
        code = code_of(lambda: self.client(NAMED, wrong).list_buckets())
        expect(code == "SignatureDoesNotMatch", code)

    def keep_the_seed(self):
        """Nothing that the named gateway has on its disk is the account's seed."""
        seed = self.network.peers[OWNER].read("accounts").split()[3]
        needles = [seed.encode(), bytes.fromhex(seed)]
        folder = self.network.peers[NAMED].folder
        files = [path for path in folder.rglob("*") if path.is_file()]
        expect(any(path.name == "accounts" for path in files), "no accounts file was looked at")
        for path in files:
            held = path.read_bytes()
            expect(not any(needle in held for needle in needles), f"the seed lies in {path}")
        return f"{len(files)} files"

    def restart(self):
        peer = self.network.peers[NAMED]
        peer.kill()
        peer.restart()
        # Others may take a moment to hear of its new life; clients try again by themselves.
        named = self.client(
            NAMED, self.keys[BUCKETS[0]], retries={"max_attempts": 5, "mode": "standard"})
        wait_until("the named gateway", lambda: named.get_object(
            Bucket=BUCKETS[0], Key="in/hello")["Body"].read() == b"of the owner", 30)
        named.put_object(Bucket=BUCKETS[0], Key="again", Body=random_bytes(MIB, 7))
        read = self.owner.get_object(Bucket=BUCKETS[0], Key="again")["Body"].read()
        expect(read == random_bytes(MIB, 7), "the object came back different")

    def revoke(self):
        key = self.keys[BUCKETS[0]]
        clients = [self.client(peer, key) for peer in (OWNER, NAMED)]
        for client in clients:
            client.list_objects_v2(Bucket=BUCKETS[0])
        self.cyxcloud("key", "revoke", BUCKETS[0])
        begin = time.monotonic()
        for client in clients:
            wait_until("the end of the key", lambda: code_of(
                lambda: client.list_objects_v2(Bucket=BUCKETS[0])) == "InvalidAccessKeyId",
                NOTICE_S + SLACK_S, poll_s=0.05)
        took = time.monotonic() - begin
        self.client(NAMED, self.keys[BUCKETS[1]]).list_objects_v2(Bucket=BUCKETS[1])
        return f"after {took:.1f} s"

    def stop(self):
        self.network.stop()


def run(cases, programs):
    sealed = Sealed(programs)
    try:
        cases.run("keys for named gateways: start", sealed.start)
        if cases.failed:
            return
        cases.run("keys for named gateways", sealed.create_keys)
        if cases.failed:
            return
        cases.run("a named gateway serves its bucket", sealed.serve)
        cases.run("a named gateway serves nothing else", sealed.confine)
        cases.run("a named gateway has no seed of the account", sealed.keep_the_seed)
        cases.run("a named gateway's death", sealed.restart)
        cases.run("a revoked key for a named gateway", sealed.revoke)
    finally:
        sealed.stop()
