"""Who may do what: policies, ACLs, two accounts and nobody in particular."""

import contextlib
import json

from botocore import UNSIGNED

from s3_gateway import case, expect, refused


def bucket_of(g, name, **options):
    bucket = "%s-%s" % (g.bucket, name)
    g.s3.create_bucket(Bucket=bucket, **options)
    return bucket


def open_bucket_of(g, name):
    """A bucket with ACLs, in which what others write is theirs."""
    return bucket_of(g, name, ObjectOwnership="ObjectWriter")


def remove(g, bucket):
    for entry in g.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        g.s3.delete_object(Bucket=bucket, Key=entry["Key"])
    g.s3.delete_bucket(Bucket=bucket)


def other(g):
    return g.client(g.other_secret_key, g.other_access_key)


def anybody(g):
    return g.client(signature_version=UNSIGNED)


def owner_id(client):
    return client.list_buckets()["Owner"]["ID"]


def allow(g, bucket, principal, actions, paths=("", "/*"), effect="Allow", **conditions):
    statement = {
        "Effect": effect, "Principal": principal, "Action": actions,
        "Resource": ["arn:aws:s3:::%s%s" % (bucket, path) for path in paths]}
    if conditions:
        statement["Condition"] = conditions
    g.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def text_of(client, bucket, key):
    return client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def raw(g, method, path, headers=None):
    connection = g.connection()
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()


@case
def strangers_get_nothing(g):
    bucket = bucket_of(g, "closed")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"secret")
    for client in (other(g), anybody(g)):
        for call in (
                lambda: client.list_objects_v2(Bucket=bucket),
                lambda: client.get_object(Bucket=bucket, Key="key"),
                lambda: client.get_object(Bucket=bucket, Key="absent"),
                lambda: client.put_object(Bucket=bucket, Key="new", Body=b""),
                lambda: client.delete_object(Bucket=bucket, Key="key"),
                lambda: client.get_bucket_acl(Bucket=bucket),
                lambda: client.get_bucket_policy(Bucket=bucket),
                lambda: client.delete_bucket(Bucket=bucket),
                lambda: client.get_bucket_location(Bucket=bucket)):
            with refused("AccessDenied", 403):
                call()
        with refused("NoSuchBucket", 404):
            client.list_objects_v2(Bucket=bucket + "-absent")
        with refused("403", 403):
            client.head_object(Bucket=bucket, Key="key")
    with refused("AccessDenied", 403):
        anybody(g).list_buckets()
    with refused("BucketAlreadyExists", 409):
        other(g).create_bucket(Bucket=bucket)
    remove(g, bucket)


@case
def a_policy_lets_others_in(g):
    bucket = bucket_of(g, "policy")
    g.s3.put_object(Bucket=bucket, Key="a/key", Body=b"text")
    with refused("NoSuchBucketPolicy", 404):
        g.s3.get_bucket_policy(Bucket=bucket)
    with refused("MalformedPolicy", 400):
        g.s3.put_bucket_policy(Bucket=bucket, Policy="{}")
    account = {"AWS": "arn:aws:iam::%s:root" % owner_id(other(g))}
    allow(g, bucket, account, ["s3:GetObject", "s3:ListBucket"])
    expect(text_of(other(g), bucket, "a/key"), "text", "text")
    with refused("NoSuchKey", 404):
        other(g).get_object(Bucket=bucket, Key="absent")
    with refused("AccessDenied", 403):
        other(g).put_object(Bucket=bucket, Key="key", Body=b"")
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="a/key")
    expect(g.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], False)

    allow(g, bucket, "*", "s3:GetObject", ["/a/*"])
    expect(text_of(anybody(g), bucket, "a/key"), "text", "text")
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="a/absent")
    expect(g.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"], True)

    allow(g, bucket, "*", "s3:PutObject", ["/in/*"])
    anybody(g).put_object(Bucket=bucket, Key="in/key", Body=b"from anybody")
    expect(text_of(g.s3, bucket, "in/key"), "from anybody", "what anybody wrote")

    allow(g, bucket, account, "s3:*")
    with refused("MethodNotAllowed", 405):
        other(g).get_bucket_policy(Bucket=bucket)
    # The owner can always take back what he forbids himself.
    allow(g, bucket, "*", "s3:*", effect="Deny")
    with refused("AccessDenied", 403):
        g.s3.list_objects_v2(Bucket=bucket)
    g.s3.delete_bucket_policy(Bucket=bucket)
    remove(g, bucket)


@case
def conditions_of_policies(g):
    bucket = bucket_of(g, "conditions")
    g.s3.put_object(Bucket=bucket, Key="open", Body=b"x", Tagging="security=public")
    g.s3.put_object(Bucket=bucket, Key="shut", Body=b"x", Tagging="security=private")
    allow(
        g, bucket, "*", "s3:GetObject", ["/*"],
        StringEquals={"s3:ExistingObjectTag/security": "public"})
    expect(text_of(anybody(g), bucket, "open"), "x", "tagged")
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="shut")
    allow(g, bucket, "*", "s3:ListBucket", [""], StringLike={"s3:prefix": "o*"})
    expect(anybody(g).list_objects_v2(Bucket=bucket, Prefix="op")["KeyCount"], 1)
    with refused("AccessDenied", 403):
        anybody(g).list_objects_v2(Bucket=bucket)
    allow(g, bucket, "*", "s3:GetObject", ["/*"], IpAddress={"aws:SourceIp": "192.0.2.0/24"})
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="open")
    allow(
        g, bucket, "*", "s3:GetObject", ["/*"],
        IpAddress={"aws:SourceIp": ["127.0.0.0/8", "::1/128"]})
    expect(text_of(anybody(g), bucket, "open"), "x", "from here")
    allow(g, bucket, "*", "s3:GetObject", ["/*"], StringLike={"aws:Referer": "http://a/*"})
    path = "/%s/open" % bucket
    expect(raw(g, "GET", path, {"Referer": "http://a/b"})[0], 200, "with referer")
    expect(raw(g, "GET", path, {"Referer": "http://c/"})[0], 403, "with another")
    remove(g, bucket)


@case
def blocks_of_public_access(g):
    bucket = open_bucket_of(g, "block")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x", ACL="public-read")
    expect(text_of(anybody(g), bucket, "key"), "x", "public")
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        g.s3.get_public_access_block(Bucket=bucket)

    def block(**flags):
        g.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=flags)

    block(BlockPublicAcls=True)
    with refused("AccessDenied", 403):
        g.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("AccessDenied", 403):
        g.s3.put_object(Bucket=bucket, Key="other", Body=b"", ACL="public-read")
    expect(text_of(anybody(g), bucket, "key"), "x", "still public")
    block(IgnorePublicAcls=True)
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="key")
    block(BlockPublicPolicy=True)
    with refused("AccessDenied", 403):
        allow(g, bucket, "*", "s3:GetObject")
    g.s3.delete_public_access_block(Bucket=bucket)
    g.s3.put_object_acl(Bucket=bucket, Key="key", ACL="private")
    allow(g, bucket, "*", "s3:GetObject", ["/*"])
    expect(text_of(anybody(g), bucket, "key"), "x", "public by policy")
    block(RestrictPublicBuckets=True)
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="key")
    expect(
        g.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False,
         "RestrictPublicBuckets": True}, "block")
    remove(g, bucket)


@case
def acls_of_buckets(g):
    bucket = open_bucket_of(g, "acl")
    mine, theirs = owner_id(g.s3), owner_id(other(g))
    acl = g.s3.get_bucket_acl(Bucket=bucket)
    expect(acl["Owner"]["ID"], mine, "owner")
    expect([grant["Permission"] for grant in acl["Grants"]], ["FULL_CONTROL"], "grants")
    g.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    expect(anybody(g).list_objects_v2(Bucket=bucket)["KeyCount"], 0, "keys")
    with refused("NoSuchKey", 404):
        anybody(g).get_object(Bucket=bucket, Key="absent")
    with refused("AccessDenied", 403):
        anybody(g).put_object(Bucket=bucket, Key="key", Body=b"")
    g.s3.put_bucket_acl(Bucket=bucket, GrantWrite="id=" + theirs, GrantReadACP="id=" + theirs)
    other(g).put_object(Bucket=bucket, Key="theirs", Body=b"x")
    with refused("AccessDenied", 403):
        other(g).list_objects_v2(Bucket=bucket)
    grants = other(g).get_bucket_acl(Bucket=bucket)["Grants"]
    expect(sorted(grant["Permission"] for grant in grants), ["READ_ACP", "WRITE"], "grants")
    # What they wrote is theirs: the bucket's owner may delete it, but not read it.
    with refused("AccessDenied", 403):
        g.s3.get_object(Bucket=bucket, Key="theirs")
    expect(text_of(other(g), bucket, "theirs"), "x", "their own")
    listed = g.s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    expect([entry["Owner"]["ID"] for entry in listed], [theirs], "owner of the object")
    other(g).put_object_acl(Bucket=bucket, Key="theirs", ACL="bucket-owner-full-control")
    expect(text_of(g.s3, bucket, "theirs"), "x", "given to the bucket's owner")
    with refused("InvalidArgument", 400):
        g.s3.put_bucket_acl(Bucket=bucket, ACL="open")
    with refused("InvalidArgument", 400):
        g.s3.put_bucket_acl(Bucket=bucket, GrantRead="id=nobody")
    with refused("UnresolvableGrantByEmailAddress", 400):
        g.s3.put_bucket_acl(Bucket=bucket, GrantRead="emailAddress=a@example.com")
    remove(g, bucket)


@case
def acls_of_objects(g):
    bucket = open_bucket_of(g, "objects")
    mine, theirs = owner_id(g.s3), owner_id(other(g))
    g.s3.put_object(Bucket=bucket, Key="all", Body=b"x", ACL="public-read")
    g.s3.put_object(Bucket=bucket, Key="users", Body=b"x", ACL="authenticated-read")
    g.s3.put_object(Bucket=bucket, Key="one", Body=b"x", GrantRead="id=" + theirs)
    g.s3.put_object(Bucket=bucket, Key="none", Body=b"x")
    for client, keys in ((other(g), ["all", "users", "one"]), (anybody(g), ["all"])):
        for key in ("all", "users", "one", "none"):
            if key in keys:
                expect(text_of(client, bucket, key), "x", key)
            else:
                with refused("AccessDenied", 403):
                    client.get_object(Bucket=bucket, Key=key)
    policy = g.s3.get_object_acl(Bucket=bucket, Key="none")
    policy.pop("ResponseMetadata")
    policy["Grants"].append({
        "Grantee": {"Type": "CanonicalUser", "ID": theirs}, "Permission": "FULL_CONTROL"})
    g.s3.put_object_acl(Bucket=bucket, Key="none", AccessControlPolicy=policy)
    expect(other(g).get_object_acl(Bucket=bucket, Key="none")["Owner"]["ID"], mine, "owner")
    expect(text_of(other(g), bucket, "none"), "x", "given")
    g.s3.copy_object(Bucket=bucket, Key="copy", CopySource=bucket + "/all")
    with refused("AccessDenied", 403):
        anybody(g).get_object(Bucket=bucket, Key="copy")
    upload = g.s3.create_multipart_upload(Bucket=bucket, Key="parts", ACL="public-read")
    part = g.s3.upload_part(
        Bucket=bucket, Key="parts", UploadId=upload["UploadId"], PartNumber=1, Body=b"y")
    g.s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload["UploadId"],
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    expect(text_of(anybody(g), bucket, "parts"), "y", "parts")
    with refused("MalformedACLError", 400):
        policy["Grants"][0]["Permission"] = "ALL"
        g.s3.put_object_acl(Bucket=bucket, Key="none", AccessControlPolicy=policy)
    remove(g, bucket)


@case
def ownership_of_objects(g):
    bucket = bucket_of(g, "owner", ObjectOwnership="BucketOwnerEnforced")

    def ownership():
        rules = g.s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        return rules[0]["ObjectOwnership"]

    expect(ownership(), "BucketOwnerEnforced", "ownership")
    with refused("AccessControlListNotSupported", 400):
        g.s3.put_object(Bucket=bucket, Key="key", Body=b"", ACL="public-read")
    for acl in ("public-read", "private"):
        with refused("AccessControlListNotSupported", 400):
            g.s3.put_bucket_acl(Bucket=bucket, ACL=acl)
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"x", ACL="bucket-owner-full-control")
    allow(g, bucket, {"AWS": owner_id(other(g))}, ["s3:PutObject"])
    other(g).put_object(Bucket=bucket, Key="theirs", Body=b"y")
    expect(text_of(g.s3, bucket, "theirs"), "y", "the bucket owner's")
    with refused("AccessDenied", 403):
        other(g).get_object(Bucket=bucket, Key="theirs")
    g.s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]})
    expect(ownership(), "BucketOwnerPreferred", "ownership")
    other(g).put_object(Bucket=bucket, Key="kept", Body=b"z")
    with refused("AccessDenied", 403):
        g.s3.get_object(Bucket=bucket, Key="kept")
    g.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        g.s3.put_bucket_ownership_controls(
            Bucket=bucket,
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    g.s3.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("OwnershipControlsNotFoundError", 404):
        ownership()
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        g.s3.create_bucket(
            Bucket=bucket + "2", ACL="public-read", ObjectOwnership="BucketOwnerEnforced")
    remove(g, bucket)


@case
def copies_between_accounts(g):
    bucket = bucket_of(g, "source")
    g.s3.put_object(Bucket=bucket, Key="key", Body=b"text", Tagging="a=b")
    theirs = bucket + "-theirs"
    other(g).create_bucket(Bucket=theirs)
    source = {"Bucket": bucket, "Key": "key"}
    with refused("AccessDenied", 403):
        other(g).copy_object(Bucket=theirs, Key="copy", CopySource=source)
    allow(g, bucket, {"AWS": owner_id(other(g))}, "s3:GetObject", ["/*"])
    other(g).copy_object(Bucket=theirs, Key="copy", CopySource=source)
    expect(text_of(other(g), theirs, "copy"), "text", "copy")
    tags = other(g).get_object_tagging(Bucket=theirs, Key="copy")["TagSet"]
    expect(tags, [{"Key": "a", "Value": "b"}], "tags of the copy")
    other(g).delete_object(Bucket=theirs, Key="copy")
    other(g).delete_bucket(Bucket=theirs)
    remove(g, bucket)
