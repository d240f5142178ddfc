"""Documents that are bombs, for every operation that takes one (decisions §G: no DOCTYPE, 2 MiB)."""

import base64
import hashlib
import time

from harness import MIB, expect

GROWTH_MIB = 64
# No document may keep the gateway busy for longer, on a busy machine.
PATIENCE_S = 5

LAUGHS = b"<!DOCTYPE x [<!ENTITY a0 'lol'>%s]>" % b"".join(
    b"<!ENTITY a%d '%s'>" % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, 12))
BLOWUP = b"<!DOCTYPE x [<!ENTITY a '%s'>]>" % (b"a" * 10_000)


def documents(root):
    """By name: what is inside `root`, the name of the document that the operation takes."""
    def around(inside, before=b""):
        return before + b"<%s>%s</%s>" % (root, inside, root)

    empty = len(around(b""))
    return {
        "nothing": b"",
        "no XML": b"nonsense",
        "an open element": b"<%s>" % root,
        "another root": b"<Nonsense/>",
        "two roots": around(b"") * 2,
        "text behind it": around(b"") + b"more",
        "a DOCTYPE": around(b"", b"<!DOCTYPE x>"),
        "a billion laughs": around(b"&a11;", LAUGHS),
        "one entity often": around(b"&a;" * 10_000, BLOWUP),
        "an external entity": around(
            b"&a;", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"),
        "an external DTD": around(b"", b"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>"),
        "a parameter entity": around(
            b"", b"<!DOCTYPE x [<!ENTITY % a SYSTEM 'file:///dev/zero'> %a;]>"),
        "an entity nobody defined": around(b"&nbsp;"),
        "a character that is none": around(b"&#0;"),
        "a surrogate": around(b"&#xD800;"),
        "a huge character": around(b"&#x110000;"),
        "a processing instruction": around(b"<?php a?>"),
        "bytes that are no UTF-8": around(b"<A>\xff\xfe</A>"),
        "UTF-16": around(b"").decode().encode("utf-16"),
        "100,000 levels": b"<a>" * 100_000 + b"</a>" * 100_000,
        "a million elements": around(b"<a/>" * 500_000),
        "a million more": around(b"<a/>" * 1_000_000),
        "one byte over 2 MiB": around(b" " * (2 * MIB - empty + 1)),
        "2 MiB of space": around(b" " * (2 * MIB - empty)),
        "2 MiB of text": around(b"a" * (2 * MIB - empty)),
        "2 MiB of one attribute": around(b"").replace(
            root, root + b" a='" + b"a" * (2 * MIB - empty - 6) + b"'", 1),
        "attributes without an end": b"<%s%s" % (root, b" a='b'" * 100_000),
        "a comment without an end": b"<%s><!--%s" % (root, b"-" * MIB),
        "CDATA without an end": b"<%s><![CDATA[%s" % (root, b"]" * MIB),
    }


# Operations that take XML: method, sub-resource, whether of an object, root of the document.
XML_OPERATIONS = [
    ("POST", "delete", False, b"Delete"),
    ("PUT", "versioning", False, b"VersioningConfiguration"),
    ("PUT", "acl", False, b"AccessControlPolicy"),
    ("PUT", "acl", True, b"AccessControlPolicy"),
    ("PUT", "cors", False, b"CORSConfiguration"),
    ("PUT", "tagging", False, b"Tagging"),
    ("PUT", "tagging", True, b"Tagging"),
    ("PUT", "lifecycle", False, b"LifecycleConfiguration"),
    ("PUT", "encryption", False, b"ServerSideEncryptionConfiguration"),
    ("PUT", "object-lock", False, b"ObjectLockConfiguration"),
    ("PUT", "retention", True, b"Retention"),
    ("PUT", "legal-hold", True, b"LegalHold"),
    ("PUT", "publicAccessBlock", False, b"PublicAccessBlockConfiguration"),
    ("PUT", "ownershipControls", False, b"OwnershipControls"),
]

POLICIES = [
    b"", b"nonsense", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000,
    b'{"Statement":[' + b"{}," * 5_000 + b"{}]}", b'{"Statement":"\\ud800"}',
    b'{"Version":"2012-10-17","Version":"2008-10-17","Statement":[]}', b" " * (2 * MIB),
    b'{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::h"}]}',
]


class Documents:
    def __init__(self, target):
        self.target = target

    def send(self, method, path, query, body):
        begin = time.monotonic()
        answer = self.target.send(method, path, query, {
            "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}, body)
        took = time.monotonic() - begin
        expect(took < PATIENCE_S, f"{query} took {took:.1f} s")
        return answer

    def settings(self):
        """What the bucket and its object say of themselves."""
        found = []
        for query in ("acl=", "policy=", "cors=", "tagging=", "lifecycle=", "versioning=",
                      "encryption=", "object-lock=", "publicAccessBlock=", "ownershipControls="):
            for path in ("", "/kept"):
                answer = self.target.send(
                    "GET", "/" + self.target.bucket + path, query)
                body = answer.data.partition(b"\r\n\r\n")[2]
                found.append((query, path, answer.status, body.partition(b"<RequestId>")[0]))
        return found

    def xml(self):
        client, name = self.target.s3, {"Bucket": self.target.bucket, "Key": "kept"}
        name["UploadId"] = client.create_multipart_upload(**name)["UploadId"]
        try:
            return self.all_xml(name["UploadId"])
        finally:
            client.abort_multipart_upload(**name)

    def all_xml(self, upload):
        before, count, slowest = self.settings(), 0, (0, "")
        operations = [
            (method, name + "=", is_object, root) for method, name, is_object, root
            in XML_OPERATIONS]
        operations.append(("POST", "uploadId=" + upload, True, b"CompleteMultipartUpload"))
        with self.target.memory_bound(GROWTH_MIB) as grown:
            for method, query, is_object, root in operations:
                path = "/" + self.target.bucket + ("/kept" if is_object else "")
                for name, document in documents(root).items():
                    if not document and query in ("acl=",):
                        continue  # S3 takes the ACL from the headers then.
                    begin = time.monotonic()
                    answer = self.send(method, path, query, document)
                    slowest = max(slowest, (time.monotonic() - begin, f"{query} {name}"))
                    expect(answer.status in (400, 409), f"{query} {name}: {answer}")
                    expect(answer.code, f"{query} {name}: {answer}")
                    count += 1
        after = self.settings()
        expect(after == before, "a document was taken: %s" % [
            pair for pair in zip(before, after) if pair[0] != pair[1]])
        return "%d documents, the gateway grew by %.0f MiB, the slowest took %.2f s (%s)" % (
            count, grown[0], *slowest)

    def bucket_creation(self):
        for name, document in documents(b"CreateBucketConfiguration").items():
            if not document:
                continue
            answer = self.send("PUT", "/not-created", "", document)
            if answer.status == 503 and b"are needed" in answer.data:
                # Too few custodians were given a processor in time, on a machine with much else to
                # do. Nothing else is a reason.
                time.sleep(2)  # As it is told to, and as every S3 client does.
                answer = self.send("PUT", "/not-created", "", document)
            if answer.status == 200:
                # Nothing of it says anything about the bucket.
                expect(name in ("2 MiB of space", "2 MiB of text", "2 MiB of one attribute"), name)
                self.target.s3.delete_bucket(Bucket="not-created")
            else:
                expect(answer.status == 400 and answer.code, f"{name}: {answer} {answer.data}")

    def policies(self):
        before = self.settings()
        with self.target.memory_bound(GROWTH_MIB):
            for policy in POLICIES:
                answer = self.send("PUT", "/" + self.target.bucket, "policy=", policy)
                expect(answer.status == 400 and answer.code, f"{policy[:60]}: {answer}")
        expect(self.settings() == before, "a policy was taken")


def cases(target):
    documents = Documents(target)
    return [
        ("documents that are bombs, in every operation", documents.xml),
        ("documents that are bombs, for a new bucket", documents.bucket_creation),
        ("policies that are none", documents.policies),
    ]
