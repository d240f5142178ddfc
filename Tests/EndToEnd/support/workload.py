"""Clients that write, read, list and delete objects whose bytes follow from a seed.

Each key is of one client alone. What a write without an answer may have left behind is remembered: a
key has one content or none once an operation was acknowledged, and else any of those that it may have.
"""

import collections
import random
import threading
import time

import botocore.exceptions

from harness import MIB, random_bytes, s3_client

ABSENT = None
KIB = 1 << 10
PART = 5 * MIB
# Sizes and how often each is taken, of a hundred.
SIZES = {4 * KIB: 46, 64 * KIB: 26, MIB: 19, 8 * MIB: 6, 32 * MIB: 2, 64 * MIB: 1}
BYTES_OF_EACH_CLIENT = 192 * MIB
HEAD = 32
NOISE = memoryview(random_bytes(2 * max(SIZES), "workload"))
KINDS = {
    "put": 34, "overwrite": 6, "multipart": 4, "get": 30, "range": 12, "list": 6, "delete": 8}


def content(seed, size):
    """`size` bytes that no other seed has."""
    begin = random.Random(seed).randrange(len(NOISE) - size)
    return str(seed).encode().ljust(HEAD, b".") + NOISE[begin:begin + size - HEAD]


def kind_of(error):
    """What a client saw go wrong, in a word."""
    if isinstance(error, botocore.exceptions.ClientError):
        return error.response["Error"]["Code"]
    return type(error).__name__


class Measures:
    """What all clients saw, by the phase in which it was."""

    def __init__(self):
        self.lock = threading.Lock()
        self.phase = None
        self.latencies = collections.defaultdict(list)
        self.bytes = collections.Counter()
        # Of single requests, of operations at one gateway with the client's own retries, and of
        # operations that no gateway carried out.
        self.tries = collections.defaultdict(collections.Counter)
        self.failures = collections.defaultdict(collections.Counter)
        self.refusals = collections.defaultdict(collections.Counter)
        self.wrong = []
        self.lost = []

    def count(self, counters, kind):
        with self.lock:
            counters[self.phase][kind] += 1

    def took(self, kind, seconds, moved):
        with self.lock:
            self.latencies[self.phase, kind].append(seconds)
            self.bytes[self.phase] += moved

    def watched(self, client):
        """The client, with each of its requests that failed counted."""

        def received(parsed_response=None, exception=None, **_):
            if exception is not None:
                self.count(self.tries, type(exception).__name__)
            elif parsed_response and parsed_response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                self.count(self.tries, parsed_response.get("Error", {}).get("Code", "5xx"))

        client.meta.events.register("response-received.s3", received)
        return client


class Failed(Exception):
    """No gateway carried an operation out."""


class Client:
    """One that keeps to a gateway until that fails it, and then goes on with the other."""

    def __init__(self, number, seed, bucket, endpoints, measures):
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.bucket = bucket
        self.measures = measures
        self.fronts = [
            measures.watched(s3_client(
                endpoint, retries={"max_attempts": 4, "mode": "standard"}, connect_timeout=3,
                read_timeout=60)) for endpoint in endpoints]
        self.at = number % len(self.fronts)
        # (seed, size) or absent: all that a key may hold.
        self.contents = {}
        self.removed = set()
        self.count = 0

    # Operations

    def ask(self, operation):
        """The answer of the first gateway that gives one."""
        for _ in self.fronts:
            try:
                return operation(self.fronts[self.at])
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                if kind_of(error) == "NoSuchKey":
                    raise
                self.measures.count(self.measures.failures, kind_of(error))
                self.at = (self.at + 1) % len(self.fronts)
                last = error
        raise Failed(kind_of(last)) from last

    def step(self):
        kind = self.random.choices(list(KINDS), KINDS.values())[0]
        if self.stored() > BYTES_OF_EACH_CLIENT:
            kind = "delete"
        certain = [key for key, found in self.contents.items() if len(found) == 1]
        if not certain and kind in ("overwrite", "get", "range", "delete"):
            kind = "put"
        key = self.random.choice(certain) if certain else None
        begin = time.monotonic()
        try:
            if kind in ("put", "overwrite"):
                moved = self.put(key if kind == "overwrite" else self.new_key())
            elif kind == "multipart":
                moved = self.multipart(self.new_key())
            elif kind == "list":
                moved = self.list()
            elif kind == "delete":
                moved = self.delete(key)
            else:
                moved = self.read(key, is_range=kind == "range")
        except Failed as failure:
            self.measures.count(self.measures.refusals, f"{kind}: {failure}")
            return
        self.measures.took(kind, time.monotonic() - begin, moved)

    def stored(self):
        return sum(max(size for _, size in found) if ABSENT not in found else 0
                   for found in self.contents.values())

    def new_key(self):
        self.count += 1
        return f"{self.number}/{self.count % 7}/{self.count:06}"

    def write(self, key, size, operation):
        """Carries out a write of a new content, which without an answer may be there or not."""
        self.count += 1
        new = (f"{self.number}-{self.count}", size)
        before = self.contents.get(key, {ABSENT})
        self.contents[key] = before | {new}
        operation(content(*new))
        self.contents[key] = {new}
        return size

    def put(self, key):
        size = self.random.choices(list(SIZES), SIZES.values())[0]
        return self.write(key, size, lambda body: self.ask(
            lambda s3: s3.put_object(Bucket=self.bucket, Key=key, Body=bytes(body))))

    def multipart(self, key):
        count = self.random.randrange(2, 5)
        last = self.random.randrange(100, PART)
        name = {"Bucket": self.bucket, "Key": key}

        def operation(body):
            name["UploadId"] = self.ask(lambda s3: s3.create_multipart_upload(**name))["UploadId"]
            parts = []
            for number in range(1, count + 1):
                piece = bytes(body[(number - 1) * PART:number * PART])
                tag = self.ask(lambda s3, number=number, piece=piece: s3.upload_part(
                    PartNumber=number, Body=piece, **name))["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
            self.ask(lambda s3: s3.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, **name))

        return self.write(key, (count - 1) * PART + last, operation)

    def delete(self, key):
        before = self.contents[key]
        self.contents[key] = before | {ABSENT}
        self.ask(lambda s3: s3.delete_object(Bucket=self.bucket, Key=key))
        del self.contents[key]
        self.removed.add(key)
        return 0

    def read(self, key, is_range=False):
        """Reads an object and compares it with what its key may hold."""
        found = self.contents[key]
        options = {}
        if is_range:
            size = min(size for _, size in found)
            begin = self.random.randrange(size)
            end = self.random.randrange(begin, size)
            options["Range"] = f"bytes={begin}-{end}"

        def operation(s3):
            return s3.get_object(Bucket=self.bucket, Key=key, **options)["Body"].read()

        try:
            body = self.ask(operation)
        except botocore.exceptions.ClientError:
            if ABSENT not in found:
                self.measures.lost.append(key)
            return 0
        wanted = [content(*each) for each in found if each is not ABSENT]
        if is_range:
            wanted = [whole[begin:end + 1] for whole in wanted]
        if body not in wanted:
            self.measures.wrong.append((key, len(body), [len(whole) for whole in wanted]))
        return len(body)

    def list(self):
        """All keys of one of the client's folders: those that must be there, and none that is gone."""
        prefix = f"{self.number}/{self.random.randrange(7)}/"

        def operation(s3):
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return {entry["Key"]: entry["Size"]
                    for page in pages for entry in page.get("Contents", [])}

        listed = self.ask(operation)
        for key, found in self.contents.items():
            if key.startswith(prefix) and ABSENT not in found:
                if key not in listed:
                    self.measures.lost.append(f"{key} in a list")
                elif listed[key] not in [size for _, size in found]:
                    self.measures.wrong.append((key, listed[key], "in a list"))
        for key in self.removed & listed.keys():
            self.measures.wrong.append((key, "listed though it was deleted"))
        return 0
