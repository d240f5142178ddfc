"""Cases of signatures, chunked bodies and requests that must be refused."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import random
import urllib.request
import zlib

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3_gateway import MIB, case, expect, expect_code, is_absent, random_bytes, refused


@case
def presigned_get_and_put(g):
    name = {"Bucket": g.bucket, "Key": "pre signed/ü"}
    url = g.s3.generate_presigned_url("put_object", Params=name, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"by link", method="PUT")
    g.open(request).close()
    url = g.client(signature_version="s3v4").generate_presigned_url(
        "get_object", Params=name, ExpiresIn=60)
    expect(g.open(url).read(), b"by link", "bytes")
    broken = url.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    try:
        g.open(broken)
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
    connection = g.connection()
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
    connection = g.connection()
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
    fields = "".join("%s: %s\r\n" % field for field in request.headers.items())
    # The larger one fills every buffer on the way, so that the connection is paused at times.
    for length, sent in ((1000, 500), (30 * MIB, 20 * MIB)):
        head = "PUT /%s/short HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n%s\r\n" % (
            g.bucket, g.host, g.port, length, fields)
        for half in (False, True):
            with g.dial(30) as connection:
                connection.sendall(head.encode() + b"x" * sent)
                if half:
                    g.end_sending(connection)
                    answer = g.read_all(connection)
                    expect(answer.startswith(b"HTTP/1.1 400 "), True, "status")
                    expect(b"<Code>IncompleteBody</Code>" in answer, True, "code")
            is_absent(g, "short")


@case
def operations_that_are_missing(g):
    with refused("NotImplemented", 501):
        g.s3.get_bucket_replication(Bucket=g.bucket)
    with refused("NotImplemented", 501):
        g.s3.put_bucket_website(
            Bucket=g.bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})


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
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\n\r\nabcdefg",
            b"PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            *[generator.randbytes(generator.randrange(1, 3000)) for _ in range(40)]):
        with contextlib.suppress(OSError):
            with g.dial(10) as connection:
                connection.settimeout(2)
                connection.sendall(data)
                g.end_sending(connection)
                connection.recv(4096)
    g.s3.list_buckets()
