"""What S3 answers about buckets: names, regions, tags at their creation, pages of them, and how its
errors name them."""

import re

from s3_access_cases import bucket_of, remove
from s3_gateway import case, expect, expect_code, refused


def names(page):
    return [bucket["Name"] for bucket in page["Buckets"]]


@case
def reserved_names_of_buckets(g):
    name = g.bucket
    for reserved in (
            "xn--" + name, "sthree-" + name, "amzn-s3-demo-" + name, name + "-s3alias",
            name + "--ol-s3", name + ".mrap", name + "--x-s3", name + "--table-s3"):
        expect_code(g.signed("PUT", "/" + reserved), 400, "InvalidBucketName")


@case
def regions_of_buckets(g):
    west = bucket_of(g, "west", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    plain = bucket_of(g, "plain")
    expect(g.s3.get_bucket_location(Bucket=west)["LocationConstraint"], "eu-west-1", "location")
    expect(g.s3.get_bucket_location(Bucket=plain).get("LocationConstraint"), None, "location")
    expect(g.s3.head_bucket(Bucket=west)["BucketRegion"], "eu-west-1", "region")
    expect(names(g.s3.list_buckets(BucketRegion="eu-west-1", Prefix=g.bucket)), [west], "of it")
    page = g.s3.list_buckets(Prefix=plain)
    expect(page["Buckets"][0]["BucketRegion"], g.s3.head_bucket(Bucket=plain)["BucketRegion"],
           "region of a listed bucket")
    with refused("InvalidLocationConstraint", 400):
        bucket_of(g, "nowhere", CreateBucketConfiguration={"LocationConstraint": "no region"})
    remove(g, west)
    remove(g, plain)


@case
def buckets_are_created_with_tags(g):
    tags = [{"Key": "team", "Value": "a b"}]
    bucket = bucket_of(g, "tagged", CreateBucketConfiguration={"Tags": tags})
    expect(g.s3.get_bucket_tagging(Bucket=bucket)["TagSet"], tags, "tags")
    remove(g, bucket)
    with refused("InvalidTag", 400):
        bucket_of(g, "twice", CreateBucketConfiguration={"Tags": tags * 2})
    expect_code(
        g.signed("PUT", "/%s-directory" % g.bucket, (
            b"<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket>"
            b"</CreateBucketConfiguration>")), 501, "NotImplemented")


@case
def pages_of_buckets_have_bounds(g):
    for count, status in (("0", 400), ("10001", 400), ("10000", 200), ("x", 400)):
        answer = g.signed("GET", "/?max-buckets=" + count)
        expect(answer[0], status, "status for " + count)


@case
def errors_say_what_they_are_about(g):
    def told(answer):
        return dict(re.findall(r"<(\w+)>([^<]*)</", answer[1]))

    missing = "%s-missing" % g.bucket
    found = told(g.signed("GET", "/" + missing))
    expect((found["Code"], found["BucketName"]), ("NoSuchBucket", missing), "bucket")
    for name in ("Message", "Resource", "RequestId", "HostId"):
        expect(bool(found.get(name)), True, name)
    found = told(g.signed("GET", "/%s/a/b" % g.bucket))
    expect((found["Code"], found["Key"]), ("NoSuchKey", "a/b"), "key")
    found = told(g.signed("GET", "/%s/a/b?versionId=%s" % (g.bucket, "0" * 32)))
    expect((found["Code"], found["VersionId"]), ("NoSuchVersion", "0" * 32), "version")
    found = told(g.signed("POST", "/%s/a/b" % g.bucket))
    expect((found["Method"], found["ResourceType"]), ("POST", "OBJECT"), "method")
    found = told(g.signed("DELETE", "/%s/a?uploadId=%s" % (g.bucket, "0" * 32)))
    expect((found["Code"], found["UploadId"]), ("NoSuchUpload", "0" * 32), "upload")
    g.s3.put_object(Bucket=g.bucket, Key="short", Body=b"abc")
    found = told(g.signed("GET", "/%s/short" % g.bucket, headers={"range": "bytes=9-"}))
    expect((found["RangeRequested"], found["ActualObjectSize"]), ("bytes=9-", "3"), "range")
    found = told(g.signed("GET", "/", date="20200101T000000Z"))
    expect((found["Code"], found["RequestTime"], found["MaxAllowedSkewMilliseconds"]),
           ("RequestTimeTooSkewed", "2020-01-01T00:00:00.000Z", "900000"), "skew")
    with refused("InvalidAccessKeyId", 403) as stranger:
        g.client(access_key="nobody").list_buckets()
    expect(stranger.error.response["Error"]["AWSAccessKeyId"], "nobody", "access key")
    with refused("SignatureDoesNotMatch", 403) as forged:
        g.client(secret_key="wrong").list_buckets()
    told_of = forged.error.response["Error"]
    expect(told_of["StringToSign"].split("\n")[0], "AWS4-HMAC-SHA256", "string to sign")
    expect(told_of["CanonicalRequest"].split("\n")[:2], ["GET", "/"], "canonical request")
    expect(bool(forged.error.response["ResponseMetadata"]["HostId"]), True, "x-amz-id-2")


@case
def methods_that_a_resource_has_not(g):
    bucket = bucket_of(g, "methods")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    for method, path in (
            ("DELETE", "?acl"), ("DELETE", "?location"), ("DELETE", "?versioning"),
            ("DELETE", "?uploads"), ("DELETE", "?delete"), ("PUT", "?uploads"), ("GET", "?delete"),
            ("PUT", "?versions"), ("POST", "?policy"), ("POST", "/key?acl"),
            ("DELETE", "/key?retention"), ("DELETE", "/key?uploads"), ("PUT", "/key?attributes")):
        expect_code(g.signed(method, "/" + bucket + path), 405, "MethodNotAllowed")
    expect(g.s3.head_object(Bucket=bucket, Key="key")["ContentLength"], 1, "still there")
    remove(g, bucket)
