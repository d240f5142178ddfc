"""Cases of what S3 says in detail: signatures of both versions, checksums, parts, copies, keys that
customers bring, and browsers' forms."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import json
import urllib.request
import zlib

from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3_gateway import MIB, case, expect, is_absent, random_bytes, refused


def sizes_and_parts(g, key, sizes, create=None, part=None, complete=None):
    """Uploads parts of these sizes; returns the answer to the completion and the bytes."""
    upload = g.s3.create_multipart_upload(Bucket=g.bucket, Key=key, **(create or {}))
    name = dict(Bucket=g.bucket, Key=key, UploadId=upload["UploadId"])
    pieces = [random_bytes(size, index) for index, size in enumerate(sizes)]
    parts = []
    for number, data in enumerate(pieces, 1):
        answer = g.s3.upload_part(PartNumber=number, Body=data, **name, **(part or {}))
        named = {k: v for k, v in answer.items() if k.startswith("Checksum")}
        parts.append(dict(named, PartNumber=number, ETag=answer["ETag"]))
    done = g.s3.complete_multipart_upload(
        MultipartUpload={"Parts": parts}, **name, **(complete or {}))
    return done, pieces


@case
def signature_version_2(g):
    old = g.client(signature_version="s3")
    old.put_object(Bucket=g.bucket, Key="old/ü &", Body=b"old", Metadata={"a": "b"})
    found = old.get_object(Bucket=g.bucket, Key="old/ü &", ResponseContentType="x/y")
    expect((found["Body"].read(), found["ContentType"]), (b"old", "x/y"), "object")
    expect(len(old.list_objects_v2(Bucket=g.bucket, Prefix="old/")["Contents"]), 1, "listed")
    url = old.generate_presigned_url(
        "get_object", Params={"Bucket": g.bucket, "Key": "old/ü &"}, ExpiresIn=60)
    expect(g.open(url).read(), b"old", "by link")
    for broken in (url.replace("Signature=", "Signature=A"), url.replace("Expires=", "Expires=1")):
        try:
            g.open(broken)
            raise AssertionError("a changed link was taken")
        except urllib.error.HTTPError as error:
            expect(error.code, 403, "status")
    with refused("SignatureDoesNotMatch", 403):
        g.client(secret_key="wrong", signature_version="s3").list_buckets()


@case
def bodies_without_a_length(g):
    request = AWSRequest("PUT", "%s/%s/unmeasured" % (g.endpoint, g.bucket))
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    SigV4Auth(Credentials(g.access_key, g.secret_key), "s3", "auto").add_auth(request)
    for field, body in (("", b""), ("Transfer-Encoding: chunked\r\n", b"1\r\na\r\n0\r\n\r\n")):
        fields = field + "".join("%s: %s\r\n" % pair for pair in request.headers.items())
        head = "PUT /%s/unmeasured HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n%s\r\n" % (
            g.bucket, g.host, g.port, fields)
        with g.dial(30) as connection:
            connection.sendall(head.encode() + body)
            answer = connection.makefile("rb").read().decode()
        expect(answer.startswith("HTTP/1.1 411 "), True, answer[:200])
        expect("<Code>MissingContentLength</Code>" in answer, True, answer)
    is_absent(g, "unmeasured")


@case
def links_that_carry_headers(g):
    # As SDKs for Go do it: what would be signed headers stands in the query, signed as well.
    request = AWSRequest("PUT", "%s/%s/hoisted" % (g.endpoint, g.bucket), params={
        "x-amz-meta-colour": "green", "x-amz-storage-class": "STANDARD_IA"})
    S3SigV4QueryAuth(
        Credentials(g.access_key, g.secret_key), "s3", "auto", expires=60).add_auth(request)
    put = urllib.request.Request(request.prepare().url, data=b"x", method="PUT")
    g.open(put).close()
    head = g.s3.head_object(Bucket=g.bucket, Key="hoisted")
    expect((head["Metadata"], head["StorageClass"]), ({"colour": "green"}, "STANDARD_IA"), "head")


@case
def buckets_are_listed_in_pages(g):
    names = [g.bucket + end for end in ("-p1", "-p2", "-p3")]
    for name in names:
        g.s3.create_bucket(Bucket=name)
    first = g.s3.list_buckets(Prefix=g.bucket + "-p", MaxBuckets=2)
    expect([entry["Name"] for entry in first["Buckets"]], names[:2], "first page")
    rest = g.s3.list_buckets(
        Prefix=g.bucket + "-p", MaxBuckets=2, ContinuationToken=first["ContinuationToken"])
    expect([entry["Name"] for entry in rest["Buckets"]], names[2:], "second page")
    expect("ContinuationToken" in rest, False, "more")
    for name in names:
        g.s3.delete_bucket(Bucket=name)


def crc64nvme(data):
    """As headers have it: reflected, polynomial ad93d23594c93659, all ones before and after."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x9a6c9329ac4bc9b5 if byte & 1 else byte >> 1
        table.append(byte)
    crc = (1 << 64) - 1
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xff]
    return base64.b64encode((crc ^ (1 << 64) - 1).to_bytes(8, "big")).decode()


def summed(answer):
    return {name: value for name, value in answer.items() if name.startswith("Checksum")}


@case
def checksums_where_clients_give_none(g):
    plain = g.client(
        request_checksum_calculation="when_required", response_checksum_validation="when_required")
    # The check value of the CRC catalogue.
    wanted = {"ChecksumCRC64NVME": "rosUhgp5mIg=", "ChecksumType": "FULL_OBJECT"}
    expect(crc64nvme(b"123456789"), wanted["ChecksumCRC64NVME"], "check value")
    key = {"Bucket": g.bucket, "Key": "unsummed"}
    source = dict(key)
    expect(summed(plain.put_object(Body=b"123456789", **key)), wanted, "answer")
    expect(summed(plain.head_object(**key)), {}, "head without asking")
    expect(summed(plain.head_object(ChecksumMode="ENABLED", **key)), wanted, "head")
    expect(summed(plain.get_object(ChecksumMode="ENABLED", **key)), wanted, "object")
    expect(
        summed(plain.get_object(ChecksumMode="ENABLED", Range="bytes=1-2", **key)), {}, "range")
    found = plain.get_object_attributes(ObjectAttributes=["Checksum"], **key)
    expect(found["Checksum"], wanted, "attributes")
    listed = plain.list_objects_v2(Bucket=g.bucket, Prefix="unsummed")["Contents"][0]
    expect(
        (listed["ChecksumAlgorithm"], listed["ChecksumType"]), (["CRC64NVME"], "FULL_OBJECT"),
        "listed")
    copied = plain.copy_object(Bucket=g.bucket, Key="unsummed copy", CopySource=source)
    expect(summed(copied["CopyObjectResult"]), wanted, "copy")
    answer = plain.copy_object(
        Bucket=g.bucket, Key="unsummed copy", CopySource=source, ChecksumAlgorithm="SHA1")
    expect(set(summed(answer["CopyObjectResult"])), {"ChecksumSHA1", "ChecksumType"}, "other")
    empty = plain.put_object(Bucket=g.bucket, Key="unsummed copy", Body=b"")
    expect(empty["ChecksumCRC64NVME"], crc64nvme(b""), "of nothing")
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    expect(summed(plain.put_object(Body=b"123456789", **key, **customer)), wanted, "encrypted")

    # Neither the upload nor its parts tell of it, but the object does.
    pieces = [random_bytes(5 * MIB), random_bytes(5 * MIB + 3, 2)]
    upload = plain.create_multipart_upload(Bucket=g.bucket, Key="unsummed")
    expect(summed(upload), {}, "upload")
    name = dict(key, UploadId=upload["UploadId"])
    parts = []
    for number, piece in enumerate(pieces, 1):
        answer = plain.upload_part(PartNumber=number, Body=piece, **name)
        expect(summed(answer), {}, "part")
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    answer = plain.upload_part_copy(
        PartNumber=3, CopySource=dict(source, Key="unsummed copy"), **name)
    expect(summed(answer["CopyPartResult"]), {}, "copied part")
    parts.append({"PartNumber": 3, "ETag": answer["CopyPartResult"]["ETag"]})
    expect([summed(part) for part in plain.list_parts(**name)["Parts"]], [{}] * 3, "parts")
    with refused("BadDigest", 400):
        plain.complete_multipart_upload(
            MultipartUpload={"Parts": parts}, ChecksumCRC64NVME="AAAAAAAAAAA=", **name)
    done = plain.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
    wanted["ChecksumCRC64NVME"] = crc64nvme(b"".join(pieces))
    expect(summed(done), wanted, "completion")
    expect(summed(plain.head_object(ChecksumMode="ENABLED", **key)), wanted, "head of parts")
    answer = plain.get_object(ChecksumMode="ENABLED", PartNumber=2, **key)
    expect((summed(answer), answer["Body"].read()), ({}, pieces[1]), "one part")
    copied = plain.copy_object(Bucket=g.bucket, Key="unsummed copy", CopySource=source)
    expect(summed(copied["CopyObjectResult"]), wanted, "copy of parts")
    # Of parts that are encrypted with a customer's key S3 makes none.
    upload = plain.create_multipart_upload(**key, **customer)
    name = dict(key, UploadId=upload["UploadId"])
    answer = plain.upload_part(PartNumber=1, Body=b"1", **name, **customer)
    parts = {"Parts": [{"PartNumber": 1, "ETag": answer["ETag"]}]}
    expect(summed(plain.complete_multipart_upload(MultipartUpload=parts, **name)), {}, "sealed")


@case
def checksums_of_parts(g):
    whole = None
    for algorithm, kind in (("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", None)):
        create = {"ChecksumAlgorithm": algorithm}
        if kind:
            create["ChecksumType"] = kind
        done, pieces = sizes_and_parts(
            g, "summed", (5 * MIB, 5 * MIB, 7), create, {"ChecksumAlgorithm": algorithm})
        whole = b"".join(pieces)
        if algorithm == "SHA256":
            value = hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in pieces)).digest()
        elif kind == "COMPOSITE":
            sums = b"".join(zlib.crc32(piece).to_bytes(4, "big") for piece in pieces)
            value = zlib.crc32(sums).to_bytes(4, "big")
        else:
            value = zlib.crc32(whole).to_bytes(4, "big")
        wanted = base64.b64encode(value).decode() + ("" if kind == "FULL_OBJECT" else "-3")
        head = g.s3.head_object(Bucket=g.bucket, Key="summed", ChecksumMode="ENABLED")
        for answer in (done, head):
            expect(answer["Checksum" + algorithm], wanted, "checksum")
            expect(answer["ChecksumType"], kind or "COMPOSITE", "type")
    found = g.s3.get_object_attributes(
        Bucket=g.bucket, Key="summed", MaxParts=2,
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"])
    expect(found["ObjectSize"], len(whole), "size")
    expect(found["Checksum"]["ChecksumType"], "COMPOSITE", "type")
    parts = found["ObjectParts"]
    expect((parts["TotalPartsCount"], parts["IsTruncated"]), (3, True), "parts")
    expect(
        parts["Parts"][1]["ChecksumSHA256"],
        base64.b64encode(hashlib.sha256(pieces[1]).digest()).decode(), "part's checksum")
    third = g.s3.get_object(Bucket=g.bucket, Key="summed", PartNumber=3)
    expect(third["Body"].read(), pieces[2], "third part")
    expect((third["PartsCount"], third["ResponseMetadata"]["HTTPStatusCode"]), (3, 206), "answer")
    with refused("InvalidPartNumber", 416):
        g.s3.get_object(Bucket=g.bucket, Key="summed", PartNumber=4)
    for algorithm, kind in (("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")):
        with refused("InvalidRequest", 400):
            g.s3.create_multipart_upload(
                Bucket=g.bucket, Key="x", ChecksumAlgorithm=algorithm, ChecksumType=kind)


@case
def uploads_are_listed_in_pages(g):
    uploads = [
        (key, g.s3.create_multipart_upload(Bucket=g.bucket, Key=key)["UploadId"])
        for key in ("up/a", "up/a", "up/b/1", "up/b/2", "up/c")]
    marker, found, prefixes = {}, [], []
    while True:
        page = g.s3.list_multipart_uploads(
            Bucket=g.bucket, Prefix="up/", Delimiter="/", MaxUploads=1, **marker)
        found += [(entry["Key"], entry["UploadId"]) for entry in page.get("Uploads", [])]
        prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextUploadIdMarker"):
            marker["UploadIdMarker"] = page["NextUploadIdMarker"]
    expect(prefixes, ["up/b/"], "prefixes")
    expect(sorted(found), sorted(u for u in uploads if "/b/" not in u[0]), "uploads")
    for key, upload in uploads:
        g.s3.abort_multipart_upload(Bucket=g.bucket, Key=key, UploadId=upload)


@case
def completions_keep_their_conditions(g):
    g.s3.put_object(Bucket=g.bucket, Key="taken", Body=b"here")
    for conditions in ({"IfNoneMatch": "*"}, {"IfMatch": '"0"'}):
        with refused("PreconditionFailed", 412):
            sizes_and_parts(g, "taken", (3,), complete=conditions)
    with refused("InvalidRequest", 400):
        sizes_and_parts(g, "taken", (3,), complete={"MpuObjectSize": 4})
    etag = g.s3.head_object(Bucket=g.bucket, Key="taken")["ETag"]
    sizes_and_parts(g, "taken", (3,), complete={"IfMatch": etag, "MpuObjectSize": 3})
    expect(g.s3.head_object(Bucket=g.bucket, Key="taken")["ContentLength"], 3, "size")


@case
def copies_in_detail(g):
    g.s3.put_object(
        Bucket=g.bucket, Key="self", Body=b"self", Metadata={"m": "1"}, ContentType="a/b",
        StorageClass="STANDARD_IA", ServerSideEncryption="AES256")
    name = dict(Bucket=g.bucket, Key="self", CopySource={"Bucket": g.bucket, "Key": "self"})
    with refused("InvalidRequest", 400):
        g.s3.copy_object(**name)
    head = g.s3.head_object(Bucket=g.bucket, Key="self")
    expect((head["StorageClass"], head["ServerSideEncryption"]), ("STANDARD_IA", "AES256"), "head")
    g.s3.copy_object(MetadataDirective="REPLACE", Metadata={"m": "2"}, **name)
    changed = g.s3.head_object(Bucket=g.bucket, Key="self")
    expect((changed["Metadata"], changed.get("StorageClass")), ({"m": "2"}, None), "replaced")
    for conditions in (
            {"CopySourceIfMatch": '"0"'}, {"CopySourceIfNoneMatch": head["ETag"]},
            {"CopySourceIfUnmodifiedSince": datetime.datetime(2000, 1, 1)}):
        with refused("PreconditionFailed", 412):
            g.s3.copy_object(**dict(name, Key="other"), **conditions)
    with refused("InvalidStorageClass", 400):
        g.s3.put_object(Bucket=g.bucket, Key="other", Body=b"", StorageClass="NOPE")
    with refused("NotImplemented", 501):
        g.s3.put_object(Bucket=g.bucket, Key="other", Body=b"", ServerSideEncryption="aws:kms")
    is_absent(g, "other")


@case
def deletes_with_conditions(g):
    put = g.s3.put_object(Bucket=g.bucket, Key="kept", Body=b"12345")
    name = dict(Bucket=g.bucket, Key="kept")
    modified = g.s3.head_object(**name)["LastModified"]
    other = modified - datetime.timedelta(seconds=5)
    for wrong in ({"IfMatch": '"0"'}, {"IfMatchSize": 4}, {"IfMatchLastModifiedTime": other}):
        with refused("PreconditionFailed", 412):
            g.s3.delete_object(**name, **wrong)
    answer = g.s3.delete_objects(Bucket=g.bucket, Delete={"Objects": [
        {"Key": "kept", "ETag": '"0"'}, {"Key": "nothing"}]})
    expect([e["Code"] for e in answer["Errors"]], ["PreconditionFailed"], "errors")
    g.s3.delete_object(
        IfMatch=put["ETag"], IfMatchSize=5, IfMatchLastModifiedTime=modified, **name)
    is_absent(g, "kept")
    with refused("NoSuchKey", 404):
        g.s3.delete_object(IfMatch="*", **name)
    g.s3.delete_object(IfMatchSize=5, **name)


@case
def keys_that_customers_bring(g):
    ours = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    wrong = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "w" * 32}
    name = {"Bucket": g.bucket, "Key": "secret"}
    data = random_bytes(2 * MIB + 5)
    g.s3.put_object(Body=data, **name, **ours)
    found = g.s3.get_object(**name, **ours)
    expect((found["Body"].read() == data, found["SSECustomerAlgorithm"]), (True, "AES256"), "read")
    found = g.s3.get_object(Range="bytes=1048570-1048600", **name, **ours)
    expect(found["Body"].read(), data[1048570:1048601], "range")
    with refused("InvalidRequest", 400):
        g.s3.get_object(**name)
    with refused("AccessDenied", 403):
        g.s3.get_object(**name, **wrong)
    _, pieces = sizes_and_parts(g, "secret parts", (5 * MIB, 100), ours, ours)
    with refused("InvalidRequest", 400):
        sizes_and_parts(g, "secret parts", (3,), ours, wrong)
    found = g.s3.get_object(
        Bucket=g.bucket, Key="secret parts", Range="bytes=%d-" % (5 * MIB - 3), **ours)
    expect(found["Body"].read(), pieces[0][-3:] + pieces[1], "range across parts")
    source = {"CopySource" + name: value for name, value in ours.items()}
    g.s3.copy_object(
        Bucket=g.bucket, Key="open", CopySource={"Bucket": g.bucket, "Key": "secret parts"},
        **source)
    found = g.s3.get_object(Bucket=g.bucket, Key="open")["Body"].read()
    expect(found == b"".join(pieces), True, "decrypted copy")


# Forms


def post(g, fields, data=b"file", filename="name.txt"):
    mark = "----form9431149156168"
    body = b""
    for name, value in fields.items():
        body += ("--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n" % (
            mark, name, value)).encode()
    body += ("--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
             "Content-Type: text/plain\r\n\r\n" % (mark, filename)).encode()
    body += data + ("\r\n--%s--\r\n" % mark).encode()
    connection = g.connection()
    with contextlib.closing(connection):
        connection.request("POST", "/" + g.bucket, body=body, headers={
            "Content-Type": "multipart/form-data; boundary=" + mark})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers


def policy_fields(g, conditions, lifetime=60):
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=lifetime)
    policy = {"expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
              "conditions": [{"bucket": g.bucket}] + conditions}
    text = base64.b64encode(json.dumps(policy).encode())
    code = hmac.new(g.secret_key.encode(), text, hashlib.sha1).digest()
    return {"AWSAccessKeyId": g.access_key, "policy": text.decode(),
            "signature": base64.b64encode(code).decode()}


@case
def forms_of_browsers(g):
    signed = g.s3.generate_presigned_post(
        g.bucket, "form/${filename}", Fields={"x-amz-meta-a": "b"},
        Conditions=[{"x-amz-meta-a": "b"}], ExpiresIn=60)
    data = random_bytes(3 * MIB)
    expect(post(g, signed["fields"], data, "a ü.bin")[0], 204, "status")
    found = g.s3.get_object(Bucket=g.bucket, Key="form/a ü.bin")
    expect((found["Body"].read() == data, found["Metadata"]), (True, {"a": "b"}), "object")
    conditions = [["starts-with", "$key", "form/"], ["content-length-range", 3, 10],
                  ["starts-with", "$success_action_status", ""]]
    fields = dict(policy_fields(g, conditions), key="form/k", success_action_status="201")
    status, text, _ = post(g, fields)
    expect((status, "<Key>form/k</Key>" in text), (201, True), text)
    for change, status, code in (
            ({"key": "else"}, 403, "AccessDenied"), ({"acl": "private"}, 403, "AccessDenied"),
            ({"signature": "AAAA"}, 403, "SignatureDoesNotMatch"),
            ({"AWSAccessKeyId": "nobody"}, 403, "InvalidAccessKeyId"),
            ({"policy": "e30="}, 403, "SignatureDoesNotMatch"),
            ({"x-ignore-x": "y"}, 201, "PostResponse")):
        answer = post(g, dict(fields, **change))
        expect((answer[0], code in answer[1]), (status, True), answer[1])
    for data, code in ((b"x" * 11, "EntityTooLarge"), (b"xx", "EntityTooSmall")):
        answer = post(g, dict(fields, key="form/size"), data)
        expect((answer[0], code in answer[1]), (400, True), answer[1])
    is_absent(g, "form/size")
    expect(post(g, {"key": "form/anybody"})[0], 403, "status of a form that nobody signed")
    late = dict(policy_fields(g, conditions, -10), key="form/k")
    expect(post(g, late)[0], 403, "status of an expired form")
    target = "http://example.com/done"
    redirect = dict(
        policy_fields(g, [["starts-with", "$key", ""], {"success_action_redirect": target}]),
        key="form/r", success_action_redirect=target)
    status, _, headers = post(g, redirect)
    expect(status, 303, "status")
    expect(headers["location"].startswith(target + "?bucket=%s&key=form%%2Fr&etag=%%22" % g.bucket),
           True, headers["location"])
