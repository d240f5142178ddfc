"""The documents of buckets and objects: CORS, tags, lifecycles, encryption, locks."""

import time

from s3_access_cases import bucket_of, remove, raw
from s3_gateway import case, expect, refused


@case
def cross_origin_requests(g):
    bucket = bucket_of(g, "cors")
    path = "/%s/key" % bucket
    ask = {"Origin": "https://a.example.com", "Access-Control-Request-Method": "GET"}
    expect(raw(g, "OPTIONS", path, ask)[0], 403, "without rules")
    expect(raw(g, "OPTIONS", path)[0], 400, "without origin")
    with refused("NoSuchCORSConfiguration", 404):
        g.s3.get_bucket_cors(Bucket=bucket)
    rule = {
        "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.com"],
        "AllowedHeaders": ["x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    g.s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    expect(g.s3.get_bucket_cors(Bucket=bucket)["CORSRules"], [rule], "rules")
    status, headers, _ = raw(
        g, "OPTIONS", path, dict(ask, **{"Access-Control-Request-Headers": "X-Amz-Date"}))
    expect(status, 200, "preflight")
    headers = {name.lower(): value for name, value in headers.items()}
    for name, value in (
            ("origin", "https://a.example.com"), ("methods", "GET, PUT"),
            ("headers", "x-amz-date")):
        expect(headers.get("access-control-allow-" + name), value, name)
    expect(headers.get("access-control-max-age"), "60", "age")
    expect(raw(g, "OPTIONS", path, dict(ask, Origin="https://b.org"))[0], 403, "elsewhere")
    status, headers, _ = raw(g, "GET", path, {"Origin": "https://a.example.com"})
    headers = {name.lower(): value for name, value in headers.items()}
    expect(status, 403, "not signed")
    expect(headers.get("access-control-expose-headers"), "ETag", "told of refusals, too")
    g.s3.delete_bucket_cors(Bucket=bucket)
    remove(g, bucket)


@case
def tags_of_buckets_and_objects(g):
    bucket = bucket_of(g, "tags")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": ""}]
    with refused("NoSuchTagSet", 404):
        g.s3.get_bucket_tagging(Bucket=bucket)
    g.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    expect(g.s3.get_bucket_tagging(Bucket=bucket)["TagSet"], tags, "tags")
    g.s3.delete_bucket_tagging(Bucket=bucket)
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="a=1&b%20c=")
    expect(g.s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"], tags, "tags")
    expect(g.s3.head_object(Bucket=bucket, Key="key")["TagCount"], 2, "count")
    expect(g.s3.get_object(Bucket=bucket, Key="key")["TagCount"], 2, "count")
    many = [{"Key": "k%d" % index, "Value": "v"} for index in range(11)]
    with refused("BadRequest", 400):
        g.s3.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": many})
    with refused("InvalidTag", 400):
        g.s3.put_object_tagging(
            Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": "k" * 129, "Value": ""}]})
    g.s3.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": many[:10]})
    g.s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=bucket + "/key", TaggingDirective="REPLACE",
        Tagging="only=this")
    expect(
        g.s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"],
        [{"Key": "only", "Value": "this"}], "tags of the copy")
    g.s3.delete_object_tagging(Bucket=bucket, Key="key")
    expect(g.s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"], [], "no tags")
    with refused("NoSuchKey", 404):
        g.s3.get_object_tagging(Bucket=bucket, Key="absent")
    remove(g, bucket)


@case
def lifecycles(g):
    bucket = bucket_of(g, "life")
    with refused("NoSuchLifecycleConfiguration", 404):
        g.s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    rules = [{
        "ID": "ten days", "Status": "Enabled", "Filter": {"Prefix": "old/"},
        "Expiration": {"Days": 10}}]
    g.s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    expect(g.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], rules, "rules")
    answer = g.s3.put_object(Bucket=bucket, Key="old/key", Body=b"x")
    expect('rule-id="ten%20days"' in answer.get("Expiration", ""), True, "expiration told")
    expect(
        g.s3.head_object(Bucket=bucket, Key="old/key")["Expiration"], answer["Expiration"],
        "expiration")
    g.s3.put_object(Bucket=bucket, Key="new", Body=b"x")
    expect("Expiration" in g.s3.head_object(Bucket=bucket, Key="new"), False, "expiration")
    with refused("InvalidArgument", 400):
        g.s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules + rules})
    with refused("MalformedXML", 400):
        g.s3.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": [dict(rules[0], Status="enabled")]})
    g.s3.delete_bucket_lifecycle(Bucket=bucket)
    remove(g, bucket)


def until(g, days, condition, what):
    """Waits for so many days of the gateway's lifecycles."""
    end = time.monotonic() + days * g.lifecycle_day_s + 20
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("did not happen: " + what)
        time.sleep(g.lifecycle_day_s / 4)


@case
def lifecycles_are_carried_out(g):
    if not g.lifecycle_day_s:
        return "skipped: a day is a day here"
    bucket = bucket_of(g, "passing")
    g.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Status": "Enabled", "Filter": {"Prefix": ""},
         "Expiration": {"ExpiredObjectDeleteMarker": True},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]})
    for key in ("old/key", "new"):
        g.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    g.s3.create_multipart_upload(Bucket=bucket, Key="unfinished")
    until(g, 3, lambda: not g.s3.list_multipart_uploads(Bucket=bucket).get("Uploads"), "abort")

    def keys():
        found = g.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [entry["Key"] for entry in found]

    until(g, 3, lambda: keys() == ["new"], "expiration")
    g.s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        g.s3.put_object(Bucket=bucket, Key="old/key", Body=body)

    def rest():
        page = g.s3.list_object_versions(Bucket=bucket, Prefix="old/")
        return page.get("Versions", []) + page.get("DeleteMarkers", [])

    until(g, 6, lambda: not rest(), "no version and no marker left")
    g.s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    g.s3.delete_object(Bucket=bucket, Key="new", VersionId="null")
    g.s3.delete_bucket(Bucket=bucket)


@case
def encryption_and_constants(g):
    bucket = bucket_of(g, "misc")
    rules = g.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    expect(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256", "algorithm")
    with refused("NotImplemented", 501):
        g.s3.put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [
                {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]})
    g.s3.delete_bucket_encryption(Bucket=bucket)
    expect(g.s3.get_bucket_request_payment(Bucket=bucket)["Payer"], "BucketOwner", "payer")
    expect("LoggingEnabled" in g.s3.get_bucket_logging(Bucket=bucket), False, "logging")
    with refused("ObjectLockConfigurationNotFoundError", 404):
        g.s3.get_object_lock_configuration(Bucket=bucket)
    with refused("InvalidRequest", 400):
        g.s3.put_object(Bucket=bucket, Key="key", Body=b"", ObjectLockLegalHoldStatus="ON")
    with refused("AccessDenied", 403):
        g.s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="123456789012")
    remove(g, bucket)


@case
def documents_of_object_lock(g):
    bucket = bucket_of(g, "lock", ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockEnabled": "Enabled"}
    found = g.s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    expect(found, lock, "lock")
    lock["Rule"] = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    g.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    found = g.s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    expect(found, lock, "lock")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    kept = g.s3.get_object_retention(Bucket=bucket, Key="key")["Retention"]
    expect(kept["Mode"], "GOVERNANCE", "mode")
    with refused("NoSuchObjectLockConfiguration", 404):
        g.s3.get_object_legal_hold(Bucket=bucket, Key="key")
    g.s3.put_object_legal_hold(Bucket=bucket, Key="key", LegalHold={"Status": "ON"})
    hold = g.s3.get_object_legal_hold(Bucket=bucket, Key="key")["LegalHold"]
    expect(hold, {"Status": "ON"}, "hold")
    head = g.s3.head_object(Bucket=bucket, Key="key")
    expect(head["ObjectLockMode"], "GOVERNANCE", "mode")
    expect(head["ObjectLockRetainUntilDate"], kept["RetainUntilDate"], "date")
    expect(head["ObjectLockLegalHoldStatus"], "ON", "hold")
    with refused("AccessDenied", 403):
        g.s3.put_object_retention(Bucket=bucket, Key="key", Retention={})
    g.s3.put_object_legal_hold(Bucket=bucket, Key="key", LegalHold={"Status": "OFF"})
    g.s3.put_object_retention(
        Bucket=bucket, Key="key", Retention={}, BypassGovernanceRetention=True)
