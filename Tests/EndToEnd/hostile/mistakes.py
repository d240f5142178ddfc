"""Mistakes of people who mean well: each answer has S3's code, and says what is wrong and what to do."""

import datetime
import re
import time

import botocore.exceptions

from harness import MIB, expect, s3_client

from .wire import presigned


class Mistakes:
    def __init__(self, target):
        self.target = target
        self.client = target.s3

    def refused(self, code, words, call, **arguments):
        try:
            call(**arguments)
        except botocore.exceptions.ClientError as error:
            found, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        else:
            expect(False, f"was not refused with {code}")
        expect(found == code, f"{found}, not {code}: {message}")
        for word in words:
            expect(re.search(word, message), f"`{word}` is not in `{message}`")

    def someone(self, **keys):
        return s3_client(
            self.target.devnet.endpoint, retries={"max_attempts": 1}, **keys)

    def keys(self):
        self.refused(
            "SignatureDoesNotMatch", ["secret key", r"hashes to [0-9a-f]{64}", "127.0.0.1:", "proxy"],
            self.someone(secret_key="wrong").list_buckets)
        self.refused(
            "InvalidAccessKeyId", ["nobody", "cyxcloud key list", "another network"],
            self.someone(access_key="nobody").list_buckets)

    def clock(self):
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=17)
        answer = self.target.send("GET", "/", at=past)
        expect(answer.code == "RequestTimeTooSkewed", str(answer))
        stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
        for word in (rb"yours " + stamp, rb"ours " + stamp, rb"limit 15 min"):
            expect(re.search(word, answer.data), f"`{word}` is not in {answer}")

    def names(self):
        path, told = "/My_Photos", (b"InvalidBucketName", b"has upper case", b"has `_`")
        for path, told in ((path, told), ("/console", (b"InvalidBucketName", b"is reserved"))):
            answer = self.target.send("PUT", path)
            expect(all(word in answer.data for word in told), str(answer))
        client, bucket = self.client, self.target.bucket
        self.refused("BucketAlreadyOwnedByYou", ["already"], client.create_bucket, Bucket=bucket)
        other = self.someone(access_key="other", secret_key="other-secret")
        self.refused("BucketAlreadyExists", ["choose another"], other.create_bucket, Bucket=bucket)

    def parts(self):
        name = {"Bucket": self.target.bucket, "Key": "parts"}
        name["UploadId"] = self.client.create_multipart_upload(**name)["UploadId"]
        try:
            sizes = (5 * MIB, MIB, 1)
            parts = [{"PartNumber": number, "ETag": self.client.upload_part(
                **name, PartNumber=number, Body=b"p" * size)["ETag"]}
                for number, size in enumerate(sizes, 1)]
            self.refused(
                "EntityTooSmall", ["part 2 has 1048576 bytes", "all but the last need 5 MiB"],
                self.client.complete_multipart_upload, **name, MultipartUpload={"Parts": parts})
        finally:
            self.client.abort_multipart_upload(**name)

    def checksum(self):
        self.refused(
            "BadDigest", ["CRC32 expected AAAAAA==, computed [^ ]+ over 8388608 bytes",
                          "nothing was stored"],
            self.client.put_object, Bucket=self.target.bucket, Key="sum", Body=b"s" * 8 * MIB,
            ChecksumCRC32="AAAAAA==")

    def links(self):
        path = "/%s/kept" % self.target.bucket
        begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=4)
        query = presigned(self.target, "GET", path, at=begin, expires=3600)
        answer = self.target.ask(("GET %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (
            path, query, self.target.authority)).encode())
        expect(answer.code == "AccessDenied", str(answer))
        end = time.strftime("%Y-%m-%dT%H:%M:%S", (begin + datetime.timedelta(hours=1)).timetuple())
        for word in ("link expired at " + end, "(3 h ago)", "make a new one"):
            expect(word.encode() in answer.data, f"`{word}` is not in {answer}")

    def operations(self):
        answer = self.target.send("PUT", "/" + self.target.bucket, "replication=", body=b"<a/>")
        expect(answer.status == 501 and answer.code == "NotImplemented", str(answer))
        for word in (b"PutBucketReplication", b"compatibility page"):
            expect(word in answer.data, f"`{word}` is not in {answer}")


def cases(target):
    mistakes = Mistakes(target)
    return [
        ("a wrong secret and an unknown key say so", mistakes.keys),
        ("a clock that is wrong is told both times", mistakes.clock),
        ("names of buckets that are taken or none", mistakes.names),
        ("a part that is too small is named", mistakes.parts),
        ("both checksums are told", mistakes.checksum),
        ("when a link expired is told", mistakes.links),
        ("an operation that is missing is named", mistakes.operations),
    ]
