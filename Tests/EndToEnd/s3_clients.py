#!/usr/bin/env python3
"""Real S3 clients against a gateway: boto3, aws-cli and rclone, and the answers to bad requests.

Usage: s3_clients.py --endpoint http://127.0.0.1:9000 --access-key demo --secret-key demo-secret

Prints a line per case and, last, how many passed and failed; exits with 1 if any failed. Needs boto3;
`aws` and `rclone` are used where they are found beside this Python or on the PATH.
"""

import argparse
import base64
import contextlib
import datetime
import filecmp
import hashlib
import hmac
import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
import urllib.parse
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

MIB = 1 << 20
CASES = []


def case(function):
    CASES.append(function)
    return function


class Gateway:
    """The endpoint under test, a client for it and a bucket of this run."""

    def __init__(self, endpoint, access_key, secret_key, folder):
        self.endpoint = endpoint.rstrip("/")
        self.access_key = access_key
        self.secret_key = secret_key
        self.folder = folder
        parts = urllib.parse.urlsplit(self.endpoint)
        self.host, self.port = parts.hostname, parts.port or 80
        self.bucket = "clients-%08x" % random.getrandbits(32)
        self.s3 = self.client()

    def client(self, secret_key=None, access_key=None, **options):
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="auto",
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(retries={"max_attempts": 1}, **options))

    def environment(self):
        # rclone cannot use a certificate bundle from the environment, and nothing here needs one.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return dict(
            inherited, AWS_ENDPOINT_URL=self.endpoint, AWS_ACCESS_KEY_ID=self.access_key,
            AWS_SECRET_ACCESS_KEY=self.secret_key, AWS_REGION="auto", AWS_MAX_ATTEMPTS="1",
            AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")

    def path(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def signed(self, method, path, body=b"", headers=None, date=None):
        """A header-signed request through http.client; returns (status, body text)."""
        request = AWSRequest(method, self.endpoint + path, headers=headers or {}, data=body)
        if "x-amz-content-sha256" not in request.headers:
            request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        signer = SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", "auto")
        if date is None:
            signer.add_auth(request)
        else:
            request.context["timestamp"] = date
            request.headers["X-Amz-Date"] = date
            signer._modify_request_before_signing = lambda request: None
            canonical = signer.canonical_request(request)
            text = signer.string_to_sign(request, canonical)
            signer._inject_signature_to_request(request, signer.signature(text, request))
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=dict(request.headers.items()))
            response = connection.getresponse()
            return response.status, response.read().decode()


def random_bytes(count, seed=1):
    return random.Random(seed).randbytes(count)


def expect(found, wanted, what="value"):
    if found != wanted:
        raise AssertionError("%s is %r, not %r" % (what, found, wanted))


@contextlib.contextmanager
def refused(code, status=None):
    """The block must fail with this S3 code."""
    try:
        yield
    except ClientError as error:
        expect(error.response["Error"]["Code"], code, "code")
        if status is not None:
            expect(error.response["ResponseMetadata"]["HTTPStatusCode"], status, "status")
        return
    raise AssertionError("was not refused with %s" % code)


def expect_code(answer, status, code):
    expect(answer[0], status, "status of " + answer[1][:400])
    if "<Code>%s</Code>" % code not in answer[1]:
        raise AssertionError("no %s in %s" % (code, answer[1][:400]))


def is_absent(gateway, key):
    with refused("404"):
        gateway.s3.head_object(Bucket=gateway.bucket, Key=key)
    return True


# Buckets and objects


@case
def bucket_create_head_list_location(g):
    g.s3.create_bucket(Bucket=g.bucket)
    g.s3.head_bucket(Bucket=g.bucket)
    names = [bucket["Name"] for bucket in g.s3.list_buckets()["Buckets"]]
    expect(g.bucket in names, True, "listed")
    g.s3.get_bucket_location(Bucket=g.bucket)
    expect("Status" in g.s3.get_bucket_versioning(Bucket=g.bucket), False, "versioned")


@case
def bucket_with_location_constraint_and_delete(g):
    name = g.bucket + "-b"
    g.s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with refused("BucketAlreadyOwnedByYou", 409):
        g.s3.create_bucket(Bucket=name)
    g.s3.put_object(Bucket=name, Key="k", Body=b"x")
    with refused("BucketNotEmpty", 409):
        g.s3.delete_bucket(Bucket=name)
    g.s3.delete_object(Bucket=name, Key="k")
    g.s3.delete_bucket(Bucket=name)
    with refused("404", 404):
        g.s3.head_bucket(Bucket=name)


@case
def object_put_get_head_delete(g):
    data = random_bytes(300_000)
    put = g.s3.put_object(
        Bucket=g.bucket, Key="a/b c+d%41ü.bin", Body=data, ContentType="image/png",
        CacheControl="max-age=7", Metadata={"colour": "green"})
    expect(put["ETag"], '"%s"' % hashlib.md5(data).hexdigest(), "ETag")
    got = g.s3.get_object(Bucket=g.bucket, Key="a/b c+d%41ü.bin")
    expect(got["Body"].read() == data, True, "same bytes")
    expect(got["ContentType"], "image/png", "type")
    expect(got["CacheControl"], "max-age=7", "cache control")
    expect(got["Metadata"], {"colour": "green"}, "metadata")
    head = g.s3.head_object(Bucket=g.bucket, Key="a/b c+d%41ü.bin")
    expect(head["ContentLength"], len(data), "length")
    for name in ("x-cyx-redundancy", "x-amz-request-id", "last-modified", "accept-ranges"):
        expect(name in head["ResponseMetadata"]["HTTPHeaders"], True, name)
    g.s3.delete_object(Bucket=g.bucket, Key="a/b c+d%41ü.bin")
    g.s3.delete_object(Bucket=g.bucket, Key="a/b c+d%41ü.bin")
    is_absent(g, "a/b c+d%41ü.bin")


@case
def objects_of_every_size(g):
    for size in (0, 1, 4095, 4096, 65536, MIB - 1, MIB, MIB + 1, 5 * MIB + 3):
        data = random_bytes(size, size)
        g.s3.put_object(Bucket=g.bucket, Key="size", Body=data)
        found = g.s3.get_object(Bucket=g.bucket, Key="size")["Body"].read()
        expect(found == data, True, "bytes of size %d" % size)


@case
def object_ranges(g):
    data = random_bytes(2 * MIB + 17)
    g.s3.put_object(Bucket=g.bucket, Key="ranged", Body=data)
    size = len(data)
    for text, wanted in (
            ("bytes=0-0", data[:1]), ("bytes=5-99", data[5:100]),
            ("bytes=%d-" % MIB, data[MIB:]), ("bytes=-7", data[-7:]),
            ("bytes=1048570-1048590", data[1048570:1048591]),
            ("bytes=10-99999999", data[10:])):
        got = g.s3.get_object(Bucket=g.bucket, Key="ranged", Range=text)
        expect(got["Body"].read() == wanted, True, "bytes of " + text)
        expect(got["ResponseMetadata"]["HTTPStatusCode"], 206, "status")
        expect(got["ContentRange"].endswith("/%d" % size), True, got["ContentRange"])
    with refused("InvalidRange", 416):
        g.s3.get_object(Bucket=g.bucket, Key="ranged", Range="bytes=%d-" % size)


@case
def object_conditions(g):
    first = g.s3.put_object(Bucket=g.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        g.s3.put_object(Bucket=g.bucket, Key="once", Body=b"2", IfNoneMatch="*")
    g.s3.put_object(Bucket=g.bucket, Key="once", Body=b"3", IfMatch=first["ETag"])
    with refused("PreconditionFailed", 412):
        g.s3.put_object(Bucket=g.bucket, Key="once", Body=b"4", IfMatch=first["ETag"])
    head = g.s3.head_object(Bucket=g.bucket, Key="once")
    with refused("304", 304):
        g.s3.get_object(Bucket=g.bucket, Key="once", IfNoneMatch=head["ETag"])
    with refused("PreconditionFailed", 412):
        g.s3.get_object(Bucket=g.bucket, Key="once", IfMatch='"00"')
    with refused("304", 304):
        g.s3.get_object(Bucket=g.bucket, Key="once", IfModifiedSince=head["LastModified"])
    got = g.s3.get_object(
        Bucket=g.bucket, Key="once", ResponseContentType="text/x", ResponseCacheControl="no-store")
    expect((got["ContentType"], got["CacheControl"]), ("text/x", "no-store"), "overrides")


@case
def list_pages_and_delimiter(g):
    keys = ["list/%s/%02d" % (folder, i) for folder in "abc" for i in range(7)]
    keys += ["list/top", "list/ü & <x>"]
    for key in keys:
        g.s3.put_object(Bucket=g.bucket, Key=key, Body=b"-")
    pages = g.s3.get_paginator("list_objects_v2").paginate(
        Bucket=g.bucket, Prefix="list/", PaginationConfig={"PageSize": 4})
    found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    expect(found, sorted(keys, key=lambda key: key.encode()), "keys")
    pages = g.s3.get_paginator("list_objects_v2").paginate(
        Bucket=g.bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 2})
    entries, prefixes = [], []
    for page in pages:
        entries += [entry["Key"] for entry in page.get("Contents", [])]
        prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    expect(prefixes, ["list/a/", "list/b/", "list/c/"], "prefixes")
    expect(entries, ["list/top", "list/ü & <x>"], "entries")
    pages = g.s3.get_paginator("list_objects").paginate(
        Bucket=g.bucket, Prefix="list/", PaginationConfig={"PageSize": 5})
    expect(sum(len(page.get("Contents", [])) for page in pages), len(keys), "version 1")
    after = g.s3.list_objects_v2(Bucket=g.bucket, Prefix="list/", StartAfter="list/c/05")
    expect([e["Key"] for e in after["Contents"]][0], "list/c/06", "start after")
    zero = g.s3.list_objects_v2(Bucket=g.bucket, MaxKeys=0)
    expect((zero["KeyCount"], zero["IsTruncated"]), (0, False), "no keys asked for")


@case
def delete_objects_many(g):
    keys = [{"Key": "many/%d & more" % i} for i in range(12)]
    for key in keys:
        g.s3.put_object(Bucket=g.bucket, Body=b"-", **key)
    deleted = g.s3.delete_objects(Bucket=g.bucket, Delete={"Objects": keys})
    expect(len(deleted["Deleted"]), 12, "deleted")
    left = g.s3.list_objects_v2(Bucket=g.bucket, Prefix="many/")
    expect(left["KeyCount"], 0, "left")


@case
def copy_object(g):
    g.s3.put_object(
        Bucket=g.bucket, Key="source ü", Body=b"copied" * 1000, Metadata={"kept": "1"})
    g.s3.copy_object(
        Bucket=g.bucket, Key="copy", CopySource={"Bucket": g.bucket, "Key": "source ü"})
    got = g.s3.get_object(Bucket=g.bucket, Key="copy")
    expect((got["Body"].read(), got["Metadata"]), (b"copied" * 1000, {"kept": "1"}), "copy")


# Multipart and transfers


@case
def upload_file_and_download_file(g):
    path = g.path("big", random_bytes(40 * MIB))
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    g.s3.upload_file(path, g.bucket, "big", Config=config)
    head = g.s3.head_object(Bucket=g.bucket, Key="big")
    expect((head["ContentLength"], head["ETag"][-3:]), (40 * MIB, '-5"'), "object of 5 parts")
    g.s3.download_file(g.bucket, "big", g.path("big.back"), Config=config)
    expect(filecmp.cmp(path, g.path("big.back"), shallow=False), True, "same bytes")


@case
def multipart_by_hand(g):
    upload = g.s3.create_multipart_upload(Bucket=g.bucket, Key="parts")["UploadId"]
    name = dict(Bucket=g.bucket, Key="parts", UploadId=upload)
    parts = []
    for number, size in ((1, 5 * MIB), (2, 5 * MIB), (3, 10)):
        part = g.s3.upload_part(PartNumber=number, Body=random_bytes(size, number), **name)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    listed = g.s3.list_parts(**name)["Parts"]
    expect([part["Size"] for part in listed], [5 * MIB, 5 * MIB, 10], "sizes")
    uploads = g.s3.list_multipart_uploads(Bucket=g.bucket)["Uploads"]
    expect(upload in [entry["UploadId"] for entry in uploads], True, "upload listed")
    with refused("InvalidPart"):
        g.s3.complete_multipart_upload(
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}, **name)
    with refused("InvalidPartOrder"):
        g.s3.complete_multipart_upload(MultipartUpload={"Parts": parts[::-1]}, **name)
    g.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
    got = g.s3.get_object(Bucket=g.bucket, Key="parts")["Body"].read()
    wanted = b"".join(random_bytes(size, n) for n, size in ((1, 5 * MIB), (2, 5 * MIB), (3, 10)))
    expect(got == wanted, True, "bytes")
    with refused("NoSuchUpload", 404):
        g.s3.upload_part(
            Bucket=g.bucket, Key="parts", UploadId="nonsense", PartNumber=1, Body=b"x")


@case
def multipart_small_part_and_abort(g):
    upload = g.s3.create_multipart_upload(Bucket=g.bucket, Key="small")["UploadId"]
    name = dict(Bucket=g.bucket, Key="small", UploadId=upload)
    parts = []
    for number in (1, 2):
        part = g.s3.upload_part(PartNumber=number, Body=b"tiny", **name)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    with refused("EntityTooSmall"):
        g.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
    g.s3.abort_multipart_upload(**name)
    with refused("NoSuchUpload", 404):
        g.s3.list_parts(**name)
    is_absent(g, "small")


@case
def upload_part_copy(g):
    data = random_bytes(6 * MIB)
    g.s3.put_object(Bucket=g.bucket, Key="copied", Body=data)
    upload = g.s3.create_multipart_upload(Bucket=g.bucket, Key="assembled")["UploadId"]
    name = dict(Bucket=g.bucket, Key="assembled", UploadId=upload)
    source = {"Bucket": g.bucket, "Key": "copied"}
    parts = []
    for number, text in ((1, "bytes=0-%d" % (5 * MIB - 1)), (2, "bytes=100-199")):
        part = g.s3.upload_part_copy(
            PartNumber=number, CopySource=source, CopySourceRange=text, **name)
        parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    g.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
    got = g.s3.get_object(Bucket=g.bucket, Key="assembled")["Body"].read()
    expect(got == data[:5 * MIB] + data[100:200], True, "bytes")


@case
def checksums_of_every_kind(g):
    data = random_bytes(100_000)
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        try:
            put = g.s3.put_object(
                Bucket=g.bucket, Key="sum", Body=data, ChecksumAlgorithm=algorithm)
        except Exception as error:
            if "Missing Dependency" in str(error):
                continue
            raise
        expect("Checksum" + algorithm in put, True, algorithm)
        got = g.s3.get_object(Bucket=g.bucket, Key="sum", ChecksumMode="ENABLED")
        expect(got["Body"].read() == data, True, "bytes")


# Signatures


@case
def presigned_get_and_put(g):
    name = {"Bucket": g.bucket, "Key": "pre signed/ü"}
    url = g.s3.generate_presigned_url("put_object", Params=name, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"by link", method="PUT")
    urllib.request.urlopen(request, timeout=30).close()
    url = g.client(signature_version="s3v4").generate_presigned_url(
        "get_object", Params=name, ExpiresIn=60)
    expect(urllib.request.urlopen(url, timeout=30).read(), b"by link", "bytes")
    broken = url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    try:
        urllib.request.urlopen(broken, timeout=30)
        raise AssertionError("a changed link was taken")
    except urllib.error.HTTPError as error:
        expect((error.code, b"SignatureDoesNotMatch" in error.read()), (403, True), "answer")


def chunked_put(g, key, chunks, length, trailer=None, signed=True, spoil=None):
    """An aws-chunked PUT whose framing is made here; returns (status, text)."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = "%s/auto/s3/aws4_request" % now[:8]
    mode = "STREAMING-%s-PAYLOAD%s" % (
        "AWS4-HMAC-SHA256" if signed else "UNSIGNED", "-TRAILER" if trailer else "")
    headers = {
        "host": "%s:%d" % (g.host, g.port), "x-amz-date": now, "x-amz-content-sha256": mode,
        "x-amz-decoded-content-length": str(length), "content-encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    names = ";".join(sorted(headers))
    path = "/%s/%s" % (g.bucket, key)
    canonical = "PUT\n%s\n\n%s\n%s\n%s" % (
        path, "".join("%s:%s\n" % (name, headers[name]) for name in sorted(headers)), names, mode)
    signing_key = ("AWS4" + g.secret_key).encode()
    for part in (now[:8], "auto", "s3", "aws4_request"):
        signing_key = hmac.new(signing_key, part.encode(), hashlib.sha256).digest()

    def sign(text):
        return hmac.new(signing_key, text.encode(), hashlib.sha256).hexdigest()

    previous = sign("AWS4-HMAC-SHA256\n%s\n%s\n%s" % (
        now, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    headers["authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            g.access_key, scope, names, previous))
    body = b""
    empty = hashlib.sha256(b"").hexdigest()
    for index, chunk in enumerate(list(chunks) + [b""]):
        previous = sign("AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s\n%s\n%s\n%s" % (
            now, scope, previous, empty, hashlib.sha256(chunk).hexdigest()))
        shown = "0" * 64 if spoil == index else previous
        body += ("%x%s\r\n" % (
            len(chunk), ";chunk-signature=" + shown if signed else "")).encode()
        if chunk:
            body += chunk + b"\r\n"
    if trailer:
        body += ("%s:%s\r\n" % trailer).encode()
        if signed:
            digest = hashlib.sha256(("%s:%s\n" % trailer).encode()).hexdigest()
            seal = sign("AWS4-HMAC-SHA256-TRAILER\n%s\n%s\n%s\n%s" % (
                now, scope, previous, digest))
            body += ("x-amz-trailer-signature:%s\r\n" % seal).encode()
    body += b"\r\n"
    connection = http.client.HTTPConnection(g.host, g.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("PUT", path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def crc32_trailer(data):
    value = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    return ("x-amz-checksum-crc32", value)


@case
def chunked_signed_bodies(g):
    chunks = [random_bytes(size, size) for size in (65536, 65536, 1000)]
    data = b"".join(chunks)
    expect(chunked_put(g, "chunked", chunks, len(data))[0], 200, "status")
    expect(chunked_put(g, "trailed", chunks, len(data), crc32_trailer(data))[0], 200, "status")
    answer = chunked_put(g, "unsigned", chunks, len(data), crc32_trailer(data), signed=False)
    expect(answer[0], 200, "status of " + answer[1])
    for key in ("chunked", "trailed", "unsigned"):
        found = g.s3.get_object(Bucket=g.bucket, Key=key)
        expect(found["Body"].read() == data, True, "bytes of " + key)
        expect(found.get("ContentEncoding"), None, "encoding")


@case
def chunked_bodies_that_are_wrong(g):
    chunks = [random_bytes(65536), random_bytes(100)]
    data = b"".join(chunks)
    for spoil in (0, 1, 2):
        answer = chunked_put(g, "bad", chunks, len(data), spoil=spoil)
        expect_code(answer, 403, "SignatureDoesNotMatch")
    expect_code(chunked_put(g, "bad", chunks, len(data) + 5), 400, "IncompleteBody")
    expect_code(chunked_put(g, "bad", chunks, len(data) - 5), 400, "IncompleteBody")
    for signed in (True, False):
        answer = chunked_put(
            g, "bad", chunks, len(data), crc32_trailer(data[:-1]), signed=signed)
        expect_code(answer, 400, "BadDigest")
    is_absent(g, "bad")


@case
def wrong_secret_and_unknown_key(g):
    with refused("SignatureDoesNotMatch", 403):
        g.client(secret_key="not-the-secret").list_buckets()
    with refused("InvalidAccessKeyId", 403):
        g.client(access_key="nobody").list_buckets()
    connection = http.client.HTTPConnection(g.host, g.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/" + g.bucket)
        response = connection.getresponse()
        expect_code((response.status, response.read().decode()), 403, "AccessDenied")


@case
def skewed_clock(g):
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=20)
    answer = g.signed("GET", "/", date=past.strftime("%Y%m%dT%H%M%SZ"))
    expect_code(answer, 403, "RequestTimeTooSkewed")


# Bad input


@case
def unknown_bucket_and_key(g):
    with refused("NoSuchBucket", 404):
        g.s3.get_object(Bucket="no-such-bucket-here", Key="k")
    with refused("NoSuchBucket", 404):
        g.s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=b"x")
    with refused("NoSuchBucket", 404):
        g.s3.list_objects_v2(Bucket="no-such-bucket-here")
    with refused("NoSuchKey", 404):
        g.s3.get_object(Bucket=g.bucket, Key="no such key")


@case
def bad_bucket_names(g):
    for name in ("api", "health", "metrics", "console"):
        with refused("InvalidBucketName", 400):
            g.s3.create_bucket(Bucket=name)
    for name in ("My_Photos", "ab", "-x-", "192.168.0.1"):
        expect_code(g.signed("PUT", "/" + name), 400, "InvalidBucketName")


@case
def long_keys(g):
    key = "k" * 1024
    g.s3.put_object(Bucket=g.bucket, Key=key, Body=b"x")
    expect(g.s3.get_object(Bucket=g.bucket, Key=key)["Body"].read(), b"x", "bytes")
    g.s3.delete_object(Bucket=g.bucket, Key=key)
    with refused("KeyTooLongError", 400):
        g.s3.put_object(Bucket=g.bucket, Key="k" * 2000, Body=b"x")


@case
def wrong_checksums(g):
    path = "/%s/wrong" % g.bucket
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    expect_code(g.signed("PUT", path, b"body", {"Content-MD5": other}), 400, "BadDigest")
    expect_code(g.signed("PUT", path, b"body", {"Content-MD5": "nonsense"}), 400, "InvalidDigest")
    answer = g.signed("PUT", path, b"body", {"x-amz-checksum-crc32": "AAAAAA=="})
    expect_code(answer, 400, "BadDigest")
    expect("nothing was stored" in answer[1], True, "reason")
    answer = g.signed(
        "PUT", path, b"body", {"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()})
    expect_code(answer, 400, "XAmzContentSHA256Mismatch")
    is_absent(g, "wrong")


@case
def body_shorter_than_its_length(g):
    request = AWSRequest("PUT", "%s/%s/short" % (g.endpoint, g.bucket), data=b"x" * 1000)
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    SigV4Auth(Credentials(g.access_key, g.secret_key), "s3", "auto").add_auth(request)
    head = "PUT /%s/short HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: 1000\r\n" % (
        g.bucket, g.host, g.port)
    head += "".join("%s: %s\r\n" % field for field in request.headers.items())
    with socket.create_connection((g.host, g.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"\r\n" + b"x" * 500)
    is_absent(g, "short")


@case
def operations_that_are_missing(g):
    with refused("NotImplemented", 501):
        g.s3.get_bucket_replication(Bucket=g.bucket)
    with refused("NotImplemented", 501):
        g.s3.put_bucket_cors(
            Bucket=g.bucket,
            CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})


@case
def documents_that_are_malformed(g):
    path = "/%s?delete=" % g.bucket
    for body in (b"", b"<Delete>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><Delete>&a;</Delete>"):
        expect_code(g.signed("POST", path, body), 400, "MalformedXML")
    big = b"<Delete>" + b" " * (3 * MIB) + b"</Delete>"
    expect(g.signed("POST", path, big)[0], 400, "status")


@case
def garbage_on_the_port(g):
    generator = random.Random(5)
    for data in (
            b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50,
            b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", b"A" * 70_000,
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdefg",
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            *[generator.randbytes(generator.randrange(1, 3000)) for _ in range(40)]):
        with contextlib.suppress(OSError):
            with socket.create_connection((g.host, g.port), timeout=10) as connection:
                connection.settimeout(2)
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
    g.s3.list_buckets()


# Other programs


def tool(name):
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return beside if os.path.exists(beside) else shutil.which(name)


def run(g, *command, extra=None):
    environment = dict(g.environment(), **(extra or {}))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d: %s" % (
            " ".join(command[:3]), done.returncode, (done.stderr or done.stdout)[-600:]))
    return done.stdout


@case
def aws_cli(g):
    aws = tool("aws")
    expect(bool(aws), True, "aws is installed (`make deps`)")
    path = g.path("cli", random_bytes(20 * MIB, 9))
    url = "s3://%s/cli/file" % g.bucket
    run(g, aws, "s3", "cp", path, url)
    run(g, aws, "s3", "cp", url, g.path("cli.back"))
    expect(filecmp.cmp(path, g.path("cli.back"), shallow=False), True, "same bytes")
    expect("file" in run(g, aws, "s3", "ls", "s3://%s/cli/" % g.bucket), True, "listed")
    run(g, aws, "s3", "mv", url, url + "2")
    run(g, aws, "s3", "rm", "--recursive", "s3://%s/cli/" % g.bucket)
    return run(g, aws, "--version").split()[0]


@case
def rclone(g):
    rclone = tool("rclone")
    expect(bool(rclone), True, "rclone is installed (`make deps`)")
    folder = g.path("tree")
    os.makedirs(os.path.join(folder, "sub"))
    for index, size in enumerate((0, 1, 70_000, 3 * MIB, 12 * MIB)):
        g.path("tree/sub/file %d ü" % index, random_bytes(size, index))
    extra = {
        "RCLONE_CONFIG_CYX_TYPE": "s3", "RCLONE_CONFIG_CYX_PROVIDER": "Other",
        "RCLONE_CONFIG_CYX_ENDPOINT": g.endpoint,
        "RCLONE_CONFIG_CYX_ACCESS_KEY_ID": g.access_key,
        "RCLONE_CONFIG_CYX_SECRET_ACCESS_KEY": g.secret_key,
        "RCLONE_S3_UPLOAD_CUTOFF": "8Mi", "RCLONE_S3_CHUNK_SIZE": "5Mi"}
    remote = "cyx:%s/rclone" % g.bucket
    run(g, rclone, "copy", folder, remote, "--retries", "1", extra=extra)
    run(g, rclone, "check", folder, remote, extra=extra)
    run(g, rclone, "check", "--download", folder, remote, extra=extra)
    listed = run(g, rclone, "lsf", "-R", remote, extra=extra)
    expect(len([line for line in listed.splitlines() if "file" in line]), 5, "files")
    run(g, rclone, "copyto", remote + "/sub/file 2 ü", remote + "/copied", extra=extra)
    run(g, rclone, "purge", remote, extra=extra)
    return run(g, rclone, "version").splitlines()[0]


@case
def everything_is_removed(g):
    pages = g.s3.get_paginator("list_objects_v2").paginate(Bucket=g.bucket)
    keys = [{"Key": entry["Key"]} for page in pages for entry in page.get("Contents", [])]
    answer = g.s3.delete_objects(Bucket=g.bucket, Delete={"Objects": keys, "Quiet": True})
    expect("Errors" in answer, False, "errors")
    g.s3.delete_bucket(Bucket=g.bucket)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", default="http://127.0.0.1:9000")
    parser.add_argument("--access-key", default="demo")
    parser.add_argument("--secret-key", default="demo-secret")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks")
    parser.add_argument("cases", nargs="*", help="names of cases; all without any")
    arguments = parser.parse_args()
    chosen = [f for f in CASES if not arguments.cases or f.__name__ in arguments.cases]
    if arguments.cases and CASES[0] not in chosen:
        chosen.insert(0, CASES[0])
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(
            arguments.endpoint, arguments.access_key, arguments.secret_key, folder)
        try:
            socket.create_connection((gateway.host, gateway.port), timeout=10).close()
        except OSError as error:
            print("nothing serves %s: %s" % (gateway.endpoint, error))
            return 1
        for function in chosen:
            try:
                note = function(gateway)
                print("passed  %s%s" % (function.__name__, " (%s)" % note if note else ""))
            except Exception as error:
                failed += 1
                print("FAILED  %s: %s: %s" % (
                    function.__name__, type(error).__name__, str(error)[:500]))
                if arguments.verbose:
                    traceback.print_exc()
            sys.stdout.flush()
    print("boto3 %s: %d passed, %d failed" % (boto3.__version__, len(chosen) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
