"""What S3 answers about objects, their uploads and versions, beside their bytes."""

import datetime

from s3_access_cases import allow, bucket_of, other, owner_id, remove
from s3_gateway import MIB, case, expect, expect_code, refused


@case
def all_answers_tell_of_encryption(g):
    name = dict(Bucket=g.bucket, Key="encrypted")
    copy = dict(Bucket=g.bucket, Key="copy", CopySource=name)
    upload = g.s3.create_multipart_upload(**name)
    part = dict(name, UploadId=upload["UploadId"], PartNumber=1)
    answers = [
        g.s3.put_object(Body=b"x", **name), g.s3.get_object(**name), g.s3.head_object(**name),
        g.s3.copy_object(**copy), upload, g.s3.upload_part(Body=b"y", **part),
        g.s3.upload_part_copy(CopySource=name, **part)]
    answers.append(g.s3.complete_multipart_upload(
        UploadId=upload["UploadId"], **name,
        MultipartUpload={"Parts": [
            {"PartNumber": 1, "ETag": answers[-1]["CopyPartResult"]["ETag"]}]}))
    for answer in answers:
        expect(answer.get("ServerSideEncryption"), "AES256", "encryption")
    customer = dict(SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    for answer in (g.s3.put_object(Body=b"x", **name, **customer),
                   g.s3.head_object(**name, **customer)):
        expect(answer.get("ServerSideEncryption"), None, "encryption beside a customer's key")


@case
def empty_metadata_is_kept(g):
    g.s3.put_object(Bucket=g.bucket, Key="empty", Body=b"", Metadata={"a": "", "b": "c"})
    found = g.s3.head_object(Bucket=g.bucket, Key="empty")["Metadata"]
    expect(found, {"a": "", "b": "c"}, "metadata")


@case
def headers_that_are_not_known_are_refused(g):
    path = "/%s/unknown" % g.bucket
    for name, value in (
            ("x-amz-write-offset-bytes", "0"), ("x-amz-object-lock-event-hold", "ON"),
            ("x-amz-checksum-sha512", "AAAA"), ("x-amz-checksum-md5", "AAAA")):
        expect_code(g.signed("PUT", path, b"x", {name: value}), 501, "NotImplemented")
    answer = g.signed("PUT", path, b"x", {"x-amz-checksum-other": "AAAA"})
    expect_code(answer, 400, "InvalidRequest")
    answer = g.signed("PUT", "/%s-space" % g.bucket, headers={
        "x-amz-bucket-namespace": "account-regional"})
    expect_code(answer, 501, "NotImplemented")
    with refused("404"):
        g.s3.head_object(Bucket=g.bucket, Key="unknown")


def uploaded(g, key, sizes, **options):
    """Uploads an object in parts; returns the answers to the creation and the completion."""
    upload = g.s3.create_multipart_upload(Bucket=g.bucket, Key=key, **options)
    name = dict(Bucket=g.bucket, Key=key, UploadId=upload["UploadId"])
    parts = []
    for number, size in enumerate(sizes, 1):
        part = g.s3.upload_part(PartNumber=number, Body=b"p" * size, **name)
        kept = {k: v for k, v in part.items() if k.startswith("Checksum")}
        parts.append(dict(kept, PartNumber=number, ETag=part["ETag"]))
    return upload, g.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)


@case
def attributes_name_parts_of_composite_checksums(g):
    for kind, shows in (("FULL_OBJECT", False), ("COMPOSITE", True)):
        uploaded(g, kind, (5 * MIB, 3), ChecksumAlgorithm="CRC32", ChecksumType=kind)
        found = g.s3.get_object_attributes(
            Bucket=g.bucket, Key=kind, ObjectAttributes=["ObjectParts"])["ObjectParts"]
        expect(found["TotalPartsCount"], 2, "parts")
        expect([part["Size"] for part in found.get("Parts", [])],
               [5 * MIB, 3] if shows else [], "sizes of " + kind)


@case
def uploads_are_aborted_once(g):
    name = dict(Bucket=g.bucket, Key="aborted")
    name["UploadId"] = g.s3.create_multipart_upload(**name)["UploadId"]
    # With parts, whose rows go a while after the answer.
    for number in (1, 2):
        g.s3.upload_part(PartNumber=number, Body=b"x" * MIB, **name)
    g.s3.abort_multipart_upload(**name)
    with refused("NoSuchUpload", 404):
        g.s3.abort_multipart_upload(**name)
    path = "/%s/aborted?uploadId=%s" % (g.bucket, name["UploadId"])
    answer = g.signed("DELETE", path, headers={
        "x-amz-if-match-initiated-time": "Mon, 23 Nov 2026 00:00:00 GMT"})
    expect_code(answer, 501, "NotImplemented")
    expect_code(g.signed("PUT", path, b"no part number"), 405, "MethodNotAllowed")


@case
def versions_in_detail(g):
    bucket = bucket_of(g, "details")
    for status, code in (
            ("other", "MalformedXML"), (None, "IllegalVersioningConfigurationException")):
        inner = "<Status>%s</Status>" % status if status else ""
        body = "<VersioningConfiguration>%s</VersioningConfiguration>" % inner
        expect_code(g.signed("PUT", "/%s?versioning" % bucket, body.encode()), 400, code)
    g.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    name = dict(Bucket=bucket, Key="key")
    version = g.s3.put_object(Body=b"1", ChecksumAlgorithm="SHA256", **name)["VersionId"]
    g.s3.put_object(Body=b"2", **name)
    listed = g.s3.list_object_versions(Bucket=bucket)["Versions"][1]
    expect((listed["VersionId"], listed["ChecksumAlgorithm"], listed["ChecksumType"]),
           (version, ["SHA256"], "FULL_OBJECT"), "listed version")
    found = g.s3.get_object_attributes(VersionId=version, ObjectAttributes=["ETag"], **name)
    expect(found["VersionId"], version, "version of the attributes")
    for entry in g.s3.list_object_versions(Bucket=bucket)["Versions"]:
        g.s3.delete_object(VersionId=entry["VersionId"], **name)
    remove(g, bucket)


@case
def writes_tell_when_a_lifecycle_ends_them(g):
    bucket = bucket_of(g, "ends")
    rules = [
        {"ID": "objects", "Status": "Enabled", "Filter": {"Prefix": "a/"},
         "Expiration": {"Days": 3000}},
        {"ID": "uploads", "Status": "Enabled", "Filter": {"Prefix": "a/"},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3000}},
        {"Status": "Enabled", "Filter": {"Prefix": "b/"}, "Expiration": {"Days": 9}},
        {"ID": "rule-3", "Status": "Enabled", "Filter": {"Prefix": "c/"},
         "Expiration": {"Days": 9}}]
    g.s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    kept = g.s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    expect(len({rule["ID"] for rule in kept["Rules"]}), 4, "names of rules")
    size = "TransitionDefaultMinimumObjectSize"
    expect(kept[size], "all_storage_classes_128K", "size of transitions")
    for call in (
            lambda: g.s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": rules},
                TransitionDefaultMinimumObjectSize="varies_by_storage_class"),
            lambda: g.s3.get_bucket_lifecycle_configuration(Bucket=bucket)):
        expect(call()[size], "varies_by_storage_class", "size of transitions")
    name = dict(Bucket=bucket, Key="a/key")
    g.s3.put_object(Body=b"x", **name)
    copied = g.s3.copy_object(Bucket=bucket, Key="a/copy", CopySource=name)
    upload = g.s3.create_multipart_upload(**name)
    name["UploadId"] = upload["UploadId"]
    for answer in (upload, g.s3.list_parts(**name)):
        expect(answer.get("AbortRuleId"), "uploads", "rule that aborts")
        late = answer["AbortDate"] - datetime.datetime.now(datetime.timezone.utc)
        expect(late.total_seconds() > 0, True, "a time to come")
    part = g.s3.upload_part(PartNumber=1, Body=b"y", **name)
    done = g.s3.complete_multipart_upload(
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **name)
    for answer in (copied, done):
        expect('rule-id="objects"' in answer.get("Expiration", ""), True, "rule that ends it")
    remove(g, bucket)


@case
def markers_have_no_documents(g):
    bucket = bucket_of(g, "markers")
    g.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    name = dict(Bucket=bucket, Key="key")
    version = g.s3.put_object(Body=b"x", **name)["VersionId"]
    marker = g.s3.delete_object(**name)["VersionId"]
    for call in (
            g.s3.get_object_tagging, g.s3.get_object_acl, g.s3.delete_object_tagging,
            lambda **k: g.s3.put_object_tagging(Tagging={"TagSet": []}, **k),
            lambda **k: g.s3.put_object_acl(ACL="private", **k)):
        with refused("MethodNotAllowed", 405) as answer:
            call(VersionId=marker, **name)
        headers = answer.error.response["ResponseMetadata"]["HTTPHeaders"]
        expect(headers.get("x-amz-delete-marker"), "true", "header of the marker")
        with refused("NoSuchKey", 404):
            call(**name)
    for entry in (version, marker):
        g.s3.delete_object(VersionId=entry, **name)
    remove(g, bucket)


@case
def attributes_need_a_right_of_their_own(g):
    bucket = bucket_of(g, "attributes")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    asked = dict(Bucket=bucket, Key="key", ObjectAttributes=["ObjectSize"])
    stranger = other(g)
    for actions in (["s3:GetObject"], ["s3:GetObjectAttributes"]):
        allow(g, bucket, {"AWS": owner_id(stranger)}, actions, paths=["/*"])
        with refused("AccessDenied", 403):
            stranger.get_object_attributes(**asked)
    allow(g, bucket, {"AWS": owner_id(stranger)}, ["s3:GetObject*"], paths=["/*"])
    expect(stranger.get_object_attributes(**asked)["ObjectSize"], 1, "size")
    remove(g, bucket)


@case
def who_begins_an_upload_may_end_it(g):
    bucket = bucket_of(g, "begun")
    stranger = other(g)
    allow(g, bucket, {"AWS": owner_id(stranger)}, ["s3:PutObject"], paths=["/*"])
    name = dict(Bucket=bucket, Key="key")
    theirs = stranger.create_multipart_upload(**name)["UploadId"]
    mine = g.s3.create_multipart_upload(**name)["UploadId"]
    stranger.upload_part(UploadId=theirs, PartNumber=1, Body=b"x", **name)
    expect(len(stranger.list_parts(UploadId=theirs, **name)["Parts"]), 1, "parts")
    for call in (stranger.list_parts, stranger.abort_multipart_upload):
        with refused("AccessDenied", 403):
            call(UploadId=mine, **name)
    stranger.abort_multipart_upload(UploadId=theirs, **name)
    second = stranger.create_multipart_upload(**name)["UploadId"]
    allow(g, bucket, {"AWS": owner_id(stranger)}, ["s3:AbortMultipartUpload"], paths=["/*"],
          effect="Deny")
    with refused("AccessDenied", 403):
        stranger.abort_multipart_upload(UploadId=second, **name)
    for upload in (mine, second):
        g.s3.abort_multipart_upload(UploadId=upload, **name)
    remove(g, bucket)
