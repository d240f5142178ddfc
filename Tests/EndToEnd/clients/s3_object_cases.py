"""boto3 cases: buckets, objects, listings, multipart uploads."""

import filecmp
import hashlib

from boto3.s3.transfer import TransferConfig

from s3_gateway import MIB, case, expect, is_absent, random_bytes, refused


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
