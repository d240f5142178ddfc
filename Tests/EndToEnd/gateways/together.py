"""Two gateways of one account at the same time: what one has answered, the other shows at once.

Settings of buckets and access keys may take as long as the other gateway remembers them for: 2 s in a
devnet, 5 s elsewhere.
"""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import random
import time
import urllib.parse

import botocore.exceptions

from growth import Network
from harness import MIB, expect, random_bytes, wait_until
from support.fronts import add_peers, client_of, wait_until_whole

PEERS = 6
BUCKET = "together"
THREADS = 4
KEYS_OF_EACH = 250
# How long a gateway of the devnet's profile may go by a bucket's settings as they were.
SETTINGS_S = 2.0
SLACK_S = 0.5


def code_of(call):
    """The error code of an answer, or None."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


class Together:
    def __init__(self, programs):
        self.network = Network(programs)

    def start(self):
        add_peers(self.network, PEERS, gateways=2)
        wait_until_whole("the views", self.network, 60)
        self.clients = [
            client_of(peer, max_pool_connections=2 * THREADS) for peer in self.network.peers[:2]]
        self.clients[0].create_bucket(Bucket=BUCKET)
        names = [bucket["Name"] for bucket in self.clients[1].list_buckets()["Buckets"]]
        expect(names == [BUCKET], f"buckets at the other: {names}")

    def pairs(self):
        """Who writes and who looks, both ways."""
        first, second = self.clients
        return ((first, second), (second, first))

    # Objects

    def follow(self, number):
        """Writes, writes anew and deletes at either gateway; each time asks the other at once."""
        generator = random.Random(number)
        prefix = f"loop/{number}/"
        keys = {}
        for index in range(KEYS_OF_EACH):
            writer, looker = self.pairs()[generator.randrange(2)]
            is_new = not keys or generator.random() < 0.7
            key = f"{prefix}{index:05}" if is_new else generator.choice(sorted(keys))
            if not is_new and generator.random() < 0.4:
                writer.delete_object(Bucket=BUCKET, Key=key)
                del keys[key]
                found = code_of(lambda: looker.get_object(Bucket=BUCKET, Key=key))
                expect(found == "NoSuchKey", f"{key} was deleted, and reading it gives {found}")
            else:
                body = random_bytes(generator.choice((40, 3000, 70_000)), f"{number} {index}")
                tag = writer.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]
                keys[key] = tag
                head = looker.head_object(Bucket=BUCKET, Key=key)
                expect(head["ETag"] == tag, f"the head of {key} is an earlier one")
                read = looker.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                expect(read == body, f"{key} was read as it was earlier")
            if index % 10 == 0:
                self.expect_listed(looker, prefix, keys)
        for client in self.clients:
            self.expect_listed(client, prefix, keys)
        return len(keys)

    def expect_listed(self, client, prefix, keys):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        listed = {entry["Key"]: entry["ETag"]
                  for page in pages for entry in page.get("Contents", [])}
        differing = sorted(set(listed.items()) ^ set(keys.items()))
        expect(listed == keys, f"the list differs: {differing[:5]}")

    def objects(self):
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            left = sum(pool.map(self.follow, range(THREADS)))
        for client in self.clients:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            count = sum(page["KeyCount"] for page in pages)
            expect(count == left, f"{count} keys listed, not {left}")
        return f"{THREADS * KEYS_OF_EACH} writes and deletes, each seen at once; {left} keys left"

    def races(self):
        """Of two writers that both ask for there to be nothing yet, one is told no."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number in range(60):
                key = f"races/{number}"
                codes = list(pool.map(lambda at: code_of(
                    lambda: self.clients[at].put_object(
                        Bucket=BUCKET, Key=key, Body=b"%d" % at, IfNoneMatch="*")), range(2)))
                winners = [at for at in range(2) if codes[at] is None]
                expect(len(winners) == 1, f"{key}: {codes}")
                expect(
                    set(codes) - {None} <= {"PreconditionFailed", "ConditionalRequestConflict"},
                    f"{key}: {codes}")
                for client in self.clients:
                    read = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                    expect(read == b"%d" % winners[0], f"{key} is not the winner's")

    def uploads(self):
        """An upload of parts is begun at one gateway, filled at both and completed at the other."""
        for number, (beginner, ender) in enumerate(self.pairs()):
            name = {"Bucket": BUCKET, "Key": f"parts/{number}"}
            upload = beginner.create_multipart_upload(**name)["UploadId"]
            listed = ender.list_multipart_uploads(Bucket=BUCKET, Prefix=name["Key"])["Uploads"]
            expect([entry["UploadId"] for entry in listed] == [upload], "the upload is listed")
            name["UploadId"] = upload
            bodies = [random_bytes(size, size) for size in (5 * MIB, 5 * MIB + 1, 100)]
            parts = []
            for index, body in enumerate(bodies):
                client = (ender, beginner)[index % 2]
                tag = client.upload_part(PartNumber=index + 1, Body=body, **name)["ETag"]
                parts.append({"PartNumber": index + 1, "ETag": tag})
                other = (beginner, ender)[index % 2]
                sizes = [part["Size"] for part in other.list_parts(**name)["Parts"]]
                expect(sizes == [len(body) for body in bodies[:index + 1]], f"parts are {sizes}")
            ender.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
            read = beginner.get_object(Bucket=BUCKET, Key=name["Key"])["Body"].read()
            expect(read == b"".join(bodies), "the object came back different")
            code = code_of(lambda: beginner.list_parts(**name))
            expect(code == "NoSuchUpload", f"parts of a completed upload: {code}")
            name["UploadId"] = beginner.create_multipart_upload(
                Bucket=BUCKET, Key=name["Key"])["UploadId"]
            ender.abort_multipart_upload(**name)
            code = code_of(lambda: beginner.upload_part(PartNumber=1, Body=b"late", **name))
            expect(code == "NoSuchUpload", f"a part for an upload that is gone: {code}")

    def versions(self):
        bucket = BUCKET + "-versions"
        first, second = self.clients
        first.create_bucket(Bucket=bucket)
        first.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.settle("versioning", lambda client: client.get_bucket_versioning(
            Bucket=bucket).get("Status") == "Enabled", second)
        ids = []
        for number in range(40):
            writer, looker = self.pairs()[number % 2]
            ids.append(writer.put_object(
                Bucket=bucket, Key="k", Body=b"%d" % number)["VersionId"])
            listed = looker.list_object_versions(Bucket=bucket)["Versions"]
            expect([entry["VersionId"] for entry in listed] == ids[::-1], "versions, newest first")
            read = looker.get_object(Bucket=bucket, Key="k", VersionId=ids[number // 2])
            expect(read["Body"].read() == b"%d" % (number // 2), "an earlier version")
        marker = first.delete_object(Bucket=bucket, Key="k")["VersionId"]
        code = code_of(lambda: second.get_object(Bucket=bucket, Key="k"))
        expect(code == "NoSuchKey", f"behind a delete marker: {code}")
        second.delete_object(Bucket=bucket, Key="k", VersionId=marker)
        read = first.get_object(Bucket=bucket, Key="k")["Body"].read()
        expect(read == b"39", "the version before the marker")

    # Settings

    def settle(self, what, predicate, client):
        """Waits as long as a setting may take, and returns how long it took."""
        begin = time.monotonic()
        wait_until(f"{what} at the other gateway", lambda: predicate(client),
                   SETTINGS_S + SLACK_S, poll_s=0.02)
        return time.monotonic() - begin

    def set_up(self, number):
        """Settings made at one gateway, and how long the other went by the earlier ones."""
        writer, looker = self.pairs()[number]
        bucket = f"{BUCKET}-settings-{number}"
        writer.create_bucket(Bucket=bucket)
        writer.put_object(Bucket=bucket, Key="k", Body=b"x")
        # So that the other has the bucket's settings in mind.
        looker.get_object(Bucket=bucket, Key="k")
        writer.put_bucket_tagging(
            Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
        writer.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        statement = {
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/*"}
        writer.put_bucket_policy(Bucket=bucket, Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": [statement]}))
        settled = self.settle("a policy", lambda client: code_of(
            lambda: client.get_object(Bucket=bucket, Key="k")) == "AccessDenied", looker)
        for what in (looker.get_bucket_tagging, looker.get_bucket_cors):
            expect(code_of(lambda: what(Bucket=bucket)) is None, "tags and CORS are there by then")
        writer.delete_bucket_policy(Bucket=bucket)
        self.settle("no policy", lambda client: code_of(
            lambda: client.get_object(Bucket=bucket, Key="k")) is None, looker)
        code = code_of(lambda: looker.delete_bucket(Bucket=bucket))
        expect(code == "BucketNotEmpty", f"a bucket with an object: {code}")
        looker.delete_object(Bucket=bucket, Key="k")
        looker.delete_bucket(Bucket=bucket)
        self.settle("the removal", lambda client: code_of(
            lambda: client.list_objects_v2(Bucket=bucket)) == "NoSuchBucket", writer)
        return settled

    def settings(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            took = max(pool.map(self.set_up, range(2)))
        return f"a policy counts after {took:.1f} s"

    def links(self):
        """A presigned URL of one, sent to the other under the name that both have behind a proxy."""
        body = random_bytes(100_000, "links")
        for number, (signer, _) in enumerate(self.pairs()):
            other = self.network.peers[1 - number]
            for method, operation in (("PUT", "put_object"), ("GET", "get_object")):
                url = urllib.parse.urlsplit(signer.generate_presigned_url(
                    operation, Params={"Bucket": BUCKET, "Key": f"links/{number}"}))
                connection = http.client.HTTPConnection(other.read("s3"), timeout=30)
                with contextlib.closing(connection):
                    connection.request(
                        method, f"{url.path}?{url.query}", body if method == "PUT" else None,
                        {"Host": url.netloc})
                    answer = connection.getresponse()
                    data = answer.read()
                expect(answer.status == 200, f"{method}: {answer.status} {data[:300]}")
            expect(hashlib.sha256(data).digest() == hashlib.sha256(body).digest(), "same bytes")

    def stop(self):
        self.network.stop()


def run(cases, programs):
    together = Together(programs)
    try:
        cases.run("two gateways: start", together.start)
        if cases.failed:
            return
        cases.run("two gateways: objects", together.objects)
        cases.run("two gateways: races for new keys", together.races)
        cases.run("two gateways: uploads of parts", together.uploads)
        cases.run("two gateways: versions", together.versions)
        cases.run("two gateways: settings of buckets", together.settings)
        cases.run("two gateways: presigned URLs", together.links)
    finally:
        together.stop()
