"""What is out of scope is said to be: each such operation of S3's interface is asked for."""

import json
import re

import botocore

from s3_gateway import case, expect, expect_code, refused
from s3_record import RECORD

# Configurations of which a bucket has many: analytics, inventory, metrics, tiering.
CONFIGURATIONS = [
    verb + "Bucket" + name + ("Configurations" if verb == "List" else "Configuration")
    for name in ("Analytics", "IntelligentTiering", "Inventory", "Metrics")
    for verb in ("Get", "List", "Put", "Delete")]

OUT_OF_SCOPE = sorted([
    *CONFIGURATIONS,
    "CreateBucketMetadataConfiguration", "CreateBucketMetadataTableConfiguration",
    "CreateSession", "DeleteBucketMetadataConfiguration", "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketReplication", "DeleteBucketWebsite", "DeleteObjectAnnotation", "GetBucketAbac",
    "GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration",
    "GetBucketNotification", "GetBucketNotificationConfiguration", "GetBucketReplication",
    "GetBucketWebsite", "GetObjectAnnotation", "GetObjectTorrent", "ListDirectoryBuckets",
    "ListObjectAnnotations", "PutBucketAbac", "PutBucketAccelerateConfiguration",
    "PutBucketLogging", "PutBucketNotification", "PutBucketNotificationConfiguration",
    "PutBucketReplication", "PutBucketRequestPayment", "PutBucketWebsite", "PutObjectAnnotation",
    "RenameObject", "RestoreObject", "SelectObjectContent",
    "UpdateBucketMetadataAnnotationTableConfiguration",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration", "UpdateObjectEncryption",
    "WriteGetObjectResponse",
])

# Older names of what is asked in the same way.
SAME_REQUEST = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}


def minimal(shape, given):
    """The least that a request's shape wants; names in `given` have those values."""
    if shape.type_name == "structure":
        members = {name: given.get(name) or minimal(shape.members[name], {})
                   for name in shape.required_members}
        if not members and shape.members and not given:
            # An empty document would be told apart from one that says something.
            name = next(iter(shape.members))
            members = {name: minimal(shape.members[name], {})}
        return members
    if shape.type_name == "list":
        return [minimal(shape.member, {})]
    if shape.type_name == "map":
        return {}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x" * max(1, shape.metadata.get("min", 0))
    return {"integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b""}[shape.type_name]


def asked(g, operation, key):
    client = g.client(inject_host_prefix=False)
    shape = client.meta.service_model.operation_model(operation).input_shape
    parameters = minimal(shape, {"Bucket": g.bucket, "Key": key})
    return getattr(client, botocore.xform_name(operation))(**parameters)


# Those that boto3 signs for other services, which this gateway is not: signed for S3 they are known.
OF_OTHER_SERVICES = {
    "ListDirectoryBuckets": ("GET", "/?max-directory-buckets=1"),
    "WriteGetObjectResponse": ("POST", "/WriteGetObjectResponse"),
}


def message_of(g, operation, key):
    """What the answer says, which must be that there is no such operation here."""
    if operation in OF_OTHER_SERVICES:
        status, text = g.signed(*OF_OTHER_SERVICES[operation])
        expect_code((status, text), 501, "NotImplemented")
        RECORD.note(operation, "NotImplemented")
        return re.search("<Message>([^<]*)<", text)[1]
    with refused("NotImplemented", 501) as failure:
        asked(g, operation, key)
    return failure.error.response["Error"]["Message"]


@case
def operations_out_of_scope_say_so(g):
    g.s3.put_object(Bucket=g.bucket, Key="scope", Body=b"stays")
    for operation in OUT_OF_SCOPE:
        try:
            message = message_of(g, operation, "scope")
            name = SAME_REQUEST.get(operation, operation)
            expect(message.split(":")[0], name, "operation in the answer")
            expect("compatibility page" in message, True, "page in " + message)
        except AssertionError as error:
            raise AssertionError("%s: %s" % (operation, error)) from error
    got = g.s3.get_object(Bucket=g.bucket, Key="scope")
    expect(got["Body"].read(), b"stays", "the object")
    return "%d operations" % len(OUT_OF_SCOPE)


@case
def settings_that_always_are_the_same(g):
    bucket = g.bucket + "-settings"
    g.s3.create_bucket(Bucket=bucket)
    expect("Status" in g.s3.get_bucket_accelerate_configuration(Bucket=bucket), False, "status")
    expect("LoggingEnabled" in g.s3.get_bucket_logging(Bucket=bucket), False, "logging")
    expect(g.s3.get_bucket_request_payment(Bucket=bucket)["Payer"], "BucketOwner", "payer")
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    g.s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    found = g.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    by_default = found["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    expect(by_default["SSEAlgorithm"], "AES256", "algorithm")
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::%s/*" % bucket}]}
    g.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    expect(json.loads(g.s3.get_bucket_policy(Bucket=bucket)["Policy"]), policy, "policy")
    g.s3.delete_bucket(Bucket=bucket)
