"""So many peers are lost for good that tables lose their quorum, and the admin recovers what is left."""

import concurrent.futures
import secrets
import subprocess

import botocore.exceptions

from harness import MIB, Devnet, expect, random_bytes, wait_until

# Nine of 12 keep a row, and five of those decide: of six peers lost, every third partition or more
# loses five. All rows of a bucket lie in one partition: of so many buckets some are in a lost one.
PEERS = 12
KILLED = [1, 3, 5, 7, 9, 11]
BUCKETS = [f"bucket-{number}" for number in range(16)]


class Recovery:
    def __init__(self, devnet):
        self.devnet = devnet
        self.client = devnet.s3(
            max_pool_connections=16, retries={"max_attempts": 1, "mode": "standard"})
        # In the row itself; and in shards, 4 + 2 with twelve peers.
        self.small = {f"small/{i}": random_bytes(200 + i, i) for i in range(40)}
        self.large = {f"large/{i}": random_bytes(MIB // 4, 100 + i) for i in range(24)}

    def command(self, *words, key=None):
        """`cyxcloud network recover` against the gateway: exit code, and all that it says."""
        done = subprocess.run(
            [self.devnet.programs / "cyxcloud", "network", "recover",
             "--admin-key-file", key or self.devnet.data / "admin.key",
             "--data-dir", self.devnet.gateway.folder, *words],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def store(self):
        self.client.create_bucket(Bucket="kept")
        for key, body in (self.small | self.large).items():
            self.client.put_object(Bucket="kept", Key=key, Body=body)
        for bucket in BUCKETS:
            self.client.create_bucket(Bucket=bucket)
            self.client.put_object(Bucket=bucket, Key="name", Body=bucket.encode())
        self.devnet.wait_repaired()

    def refuse_without_loss(self):
        code, text = self.command()
        expect(code == 1 and "RECOVER-03" in text, f"exit code {code}: {text}")
        stranger = self.devnet.data / "stranger.key"
        stranger.write_text(secrets.token_hex(32))
        code, text = self.command(key=stranger)
        expect(code == 1 and "RECOVER-02" in text, f"exit code {code}: {text}")

    def get(self, key, bucket="kept"):
        """The object, or the S3 error that came instead."""
        try:
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except botocore.exceptions.ClientError as error:
            return error

    def get_all(self, keys):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return dict(zip(keys, pool.map(self.get, keys)))

    def live_shards(self, key):
        segments = self.devnet.gateway.admin(
            f"/api/v1/where?bucket=kept&key={key.replace('/', '%2F')}")["segments"]
        return [
            (len({h["index"] for h in segment["holders"] if h["peer"] not in self.lost}),
             segment["k"]) for segment in segments]

    def lose_quorums(self):
        self.lost = {self.devnet.peer(index).status()["peer"] for index in KILLED}
        self.whole = [
            key for key in self.large if all(live >= k for live, k in self.live_shards(key))]
        for index in KILLED:
            self.devnet.peer(index).kill()
        wait_until(
            "six deaths noticed", lambda: self.devnet.status()["peers"]["dead"] == 6, 60)
        with concurrent.futures.ThreadPoolExecutor(len(BUCKETS)) as pool:
            answers = list(pool.map(lambda bucket: self.get("name", bucket), BUCKETS))
        errors = [
            answer.response for answer in answers
            if isinstance(answer, botocore.exceptions.ClientError)]
        expect(errors, "every bucket has a quorum, although every third partition lost it")
        for error in errors:
            status = error["ResponseMetadata"]["HTTPStatusCode"]
            message = error["Error"].get("Message", "")
            expect(status == 503 and "are needed" in message, f"HTTP {status}: {message}")
        tables = self.devnet.status()["tables"]
        expect(tables["unavailable"] > 0, f"status knows of no lost quorum: {tables}")
        return f"{len(errors)} of {len(BUCKETS)} answered 503: {errors[0]['Error']['Message']}"

    def recover(self):
        # What is to be typed depends on what is lost, which the command says first.
        code, text = self.command()
        expect(code == 2 and "recover " in text, f"exit code {code}: {text}")
        phrase = text.split("--confirm '")[1].split("'")[0]
        code, text = self.command("--confirm", "recover 1 partitions")
        expect(code == 2 and phrase in text, f"exit code {code}: {text}")
        code, text = self.command("--confirm", phrase)
        expect(code == 0, f"exit code {code}: {text}")
        expect("serve again" in text, text)
        return phrase

    def read_back(self):
        """All small objects, and all others of which k shards are left."""
        expect(self.whole, "no object has k shards left")
        wanted = {key: self.small[key] for key in self.small}
        wanted |= {key: self.large[key] for key in self.whole}

        def is_back():
            answers = self.get_all(list(wanted))
            return all(answers[key] == wanted[key] for key in wanted) and all(
                self.get("name", bucket) == bucket.encode() for bucket in BUCKETS)

        wait_until("all that is left readable", is_back, 60)
        listed = self.client.list_objects_v2(Bucket="kept")["KeyCount"]
        expect(listed == len(self.small) + len(self.large), f"listed {listed}")
        self.client.put_object(Bucket="kept", Key="new", Body=b"new")
        return f"{len(self.small)} small ones, {len(self.whole)} of {len(self.large)} in shards"

    def come_back(self):
        """One of the lost comes back with all that it had, and changes nothing of what was since."""
        self.client.put_object(Bucket="kept", Key="small/0", Body=b"changed since")
        peer = self.devnet.peer(KILLED[0])
        peer.restart()
        wait_until(
            "the peer to be a member again",
            lambda: self.devnet.status()["peers"]["alive"] == PEERS - len(KILLED) + 1, 60)

        def serves_nothing_old():
            tables = peer.status()["tables"]
            return tables["unavailable"] == 0 and tables["full"] == tables["partitions"]

        wait_until("the returned peer to know the recovered views", serves_nothing_old, 120)
        expect(self.get("small/0") == b"changed since", "an old version came back")
        self.read_all_small()
        code, text = self.command()
        expect(code == 1 and "RECOVER-03" in text, f"exit code {code}: {text}")

    def read_all_small(self):
        answers = self.get_all(list(self.small)[1:])
        for key, answer in answers.items():
            expect(answer == self.small[key], f"{key}: {answer}")


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        recovery = Recovery(devnet)
        cases.run("small and large objects are stored on 12 peers", recovery.store)
        cases.run("nothing is recovered without a loss or the key", recovery.refuse_without_loss)
        cases.run("six peers lost: 503 with the reason", recovery.lose_quorums)
        cases.run("the admin recovers", recovery.recover)
        cases.run("all that is left is readable", recovery.read_back)
        cases.run("a lost peer comes back and serves nothing old", recovery.come_back)
