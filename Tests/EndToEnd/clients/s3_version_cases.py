"""boto3 cases: buckets that keep versions."""

from s3_gateway import MIB, case, expect, is_absent, random_bytes, refused


def made(g, suffix, status="Enabled"):
    name = g.bucket + suffix
    g.s3.create_bucket(Bucket=name)
    if status:
        g.s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": status})
        expect(g.s3.get_bucket_versioning(Bucket=name)["Status"], status, "status")
    return name


def removed(g, bucket):
    pages = g.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    found = [{"Key": entry["Key"], "VersionId": entry["VersionId"]}
             for page in pages for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    if found:
        answer = g.s3.delete_objects(Bucket=bucket, Delete={"Objects": found})
        expect("Errors" in answer, False, "errors")
    g.s3.delete_bucket(Bucket=bucket)


@case
def versions_are_kept_read_and_removed(g):
    bucket = made(g, "-versions")
    bodies = [b"one", random_bytes(300_000), b"three"]
    ids = [g.s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in bodies]
    expect(len(set(ids)), 3, "IDs")
    got = g.s3.get_object(Bucket=bucket, Key="k")
    expect((got["VersionId"], got["Body"].read()), (ids[2], b"three"), "current")
    for version, body in zip(ids, bodies):
        got = g.s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        expect(got["VersionId"], version, "version")
        expect(got["Body"].read() == body, True, "bytes of a version")
        head = g.s3.head_object(Bucket=bucket, Key="k", VersionId=version)
        expect(head["ContentLength"], len(body), "length")
    answer = g.s3.delete_object(Bucket=bucket, Key="k")
    expect(answer["DeleteMarker"], True, "marker")
    marker = answer["VersionId"]
    with refused("NoSuchKey", 404) as failure:
        g.s3.get_object(Bucket=bucket, Key="k")
    headers = failure.error.response["ResponseMetadata"]["HTTPHeaders"]
    expect(headers.get("x-amz-delete-marker"), "true", "header of a marker")
    with refused("MethodNotAllowed", 405):
        g.s3.get_object(Bucket=bucket, Key="k", VersionId=marker)
    expect(g.s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0, "listed keys")
    listed = g.s3.list_object_versions(Bucket=bucket)
    expect([entry["VersionId"] for entry in listed["Versions"]], ids[::-1], "versions")
    expect([entry["IsLatest"] for entry in listed["Versions"]], [False] * 3, "latest")
    expect([entry["IsLatest"] for entry in listed["DeleteMarkers"]], [True], "latest marker")
    answer = g.s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    expect((answer["VersionId"], answer["DeleteMarker"]), (marker, True), "removed marker")
    expect(g.s3.get_object(Bucket=bucket, Key="k")["Body"].read(), b"three", "shown again")
    g.s3.delete_object(Bucket=bucket, Key="k", VersionId=ids[2])
    got = g.s3.get_object(Bucket=bucket, Key="k")
    expect(got["Body"].read() == bodies[1], True, "the version before")
    with refused("NoSuchVersion", 404):
        g.s3.get_object(Bucket=bucket, Key="k", VersionId=ids[2])
    with refused("InvalidArgument", 400):
        g.s3.get_object(Bucket=bucket, Key="k", VersionId="no-version")
    with refused("BucketNotEmpty", 409):
        g.s3.delete_bucket(Bucket=bucket)
    removed(g, bucket)


@case
def null_versions_come_before_and_after(g):
    bucket = made(g, "-null", status=None)
    g.s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    g.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    named = g.s3.put_object(Bucket=bucket, Key="k", Body=b"named")["VersionId"]
    got = g.s3.get_object(Bucket=bucket, Key="k", VersionId="null")
    expect(got["Body"].read(), b"before", "what was there before")
    g.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    g.s3.put_object(Bucket=bucket, Key="k", Body=b"after")
    g.s3.put_object(Bucket=bucket, Key="k", Body=b"after that")
    listed = g.s3.list_object_versions(Bucket=bucket)["Versions"]
    expect([entry["VersionId"] for entry in listed], ["null", named], "versions")
    answer = g.s3.delete_object(Bucket=bucket, Key="k")
    expect((answer["VersionId"], answer["DeleteMarker"]), ("null", True), "null marker")
    is_absent(g, "k", bucket)
    got = g.s3.get_object(Bucket=bucket, Key="k", VersionId=named)
    expect(got["Body"].read(), b"named", "named version")
    removed(g, bucket)


@case
def versions_of_copies_and_uploads(g):
    bucket = made(g, "-copies")
    first = g.s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    g.s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    answer = g.s3.copy_object(
        Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": first})
    expect(answer["CopySourceVersionId"], first, "source")
    got = g.s3.get_object(Bucket=bucket, Key="k")
    expect((got["VersionId"], got["Body"].read()), (answer["VersionId"], b"first"), "restored")
    upload = g.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    data = random_bytes(MIB)
    part = g.s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=data)
    done = g.s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]})
    g.s3.put_object(Bucket=bucket, Key="k", Body=b"last")
    got = g.s3.get_object(Bucket=bucket, Key="k", VersionId=done["VersionId"])
    expect(got["Body"].read() == data, True, "bytes of the upload")
    removed(g, bucket)


@case
def versions_are_listed_by_pages(g):
    bucket = made(g, "-pages")
    for key in ("a", "dir/1", "dir/2", "z"):
        for number in range(3):
            g.s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % number)
    g.s3.delete_object(Bucket=bucket, Key="a")
    whole = g.s3.list_object_versions(Bucket=bucket)
    expect(len(whole["Versions"]), 12, "versions")
    pages = g.s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2})
    seen = [(entry["Key"], entry["VersionId"])
            for page in pages for entry in page.get("Versions", [])]
    expect(seen, [(e["Key"], e["VersionId"]) for e in whole["Versions"]], "paged versions")
    grouped = g.s3.list_object_versions(Bucket=bucket, Delimiter="/")
    expect([entry["Prefix"] for entry in grouped["CommonPrefixes"]], ["dir/"], "prefixes")
    with refused("InvalidArgument", 400):
        g.s3.list_object_versions(Bucket=bucket, VersionIdMarker="null")
    removed(g, bucket)
