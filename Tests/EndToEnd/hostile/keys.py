"""Keys that are paths elsewhere: kept as they are, or refused; never read as a path."""

import urllib.parse

from harness import expect

from .wire import refused

INVALID = (400, "InvalidURI")

# Keys that are stored under exactly these bytes, however a path of files would be read.
KEPT = [
    "a/../b", "a/./b", "./a", "a//b", "/a", "//", "a/", "a/..", "a%2Fb", "a%2fb", "a%00b", ".", "a\\..\\b",
    "a\x00b", "\x01\x7f", "a?b#c;d&e=f+g h", "ä/ö\u202e", "\U0001f511", "e\u0301", "\u00e9", " ", "a\nb",
    "\u00fc" * 512, "k" * 1024, "CON", "~", "*", "\"'<>&", "a:b", "%", "%zz",
]
# As they are sent; S3 counts parents from the left ("Naming Amazon S3 objects").
ABOVE = ["..", "../a", "a/../../b", "%2E%2E/a", "..%2Fa", "a/../..", "./../../a"]
BROKEN = ["%ff", "%c3", "%c3%28", "%ed%a0%80", "%c0%af", "%", "%2", "%zz", "a%2", "%f4%90%80%80"]


class Keys:
    def __init__(self, target):
        self.target = target

    def path(self, key):
        return "/%s/%s" % (self.target.bucket, urllib.parse.quote(key, safe="/~"))

    def send(self, method, path, body=b"", headers=None, query=""):
        return self.target.send(
            method, path, query, headers, body)

    def kept(self):
        """Each is another object, gives its own bytes back and is listed under its own name."""
        client, bucket = self.target.s3, self.target.bucket
        for key in KEPT:
            answer = self.send("PUT", self.path(key), b"of " + key.encode())
            expect(answer.status == 200, f"{key!r}: {answer}")
        for key in KEPT:
            answer = self.send("GET", self.path(key))
            body = answer.data.partition(b"\r\n\r\n")[2]
            expect(body == b"of " + key.encode(), f"{key!r}: {answer}")
        listed = [entry["Key"] for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket) for entry in page["Contents"]]
        expect(sorted(listed) == sorted(KEPT + ["kept"]), f"listed {listed}")
        expect(listed == sorted(listed, key=lambda key: key.encode()), "not in the order of bytes")
        for key in KEPT:
            answer = self.send("DELETE", self.path(key))
            expect(answer.status == 204, f"{key!r}: {answer}")
            answer = self.send("HEAD", self.path(key))
            expect(answer.status == 404, f"{key!r}: {answer}")
        return f"{len(KEPT)} keys"

    def refused(self):
        bucket = "/" + self.target.bucket
        for key in ("k" * 1025, "\u00fc" * 513, "k" * 5000):
            refused(self.send("PUT", self.path(key), b"x"), 400, "KeyTooLongError", key[:5])
        for above in ABOVE:
            path = "%s/%s" % (bucket, above)
            for method in ("PUT", "GET"):
                refused(self.signed_as_sent(method, path), *INVALID, above)
            refused(self.send("PUT", bucket + "/copy", headers={
                "x-amz-copy-source": path}), *INVALID, "a copy of " + above)
        for broken in BROKEN:
            refused(self.signed_as_sent("PUT", "%s/%s" % (bucket, broken)), *INVALID, broken)
            refused(self.signed_as_sent("GET", "/%s/k" % broken), *INVALID, "bucket " + broken)
        for path in ("/../%s/k" % self.target.bucket, "/.%2e/k", "/hostile%2Fk", "/%00/k", "//k",
                     "/hostile%00/k", "/HOSTILE/k", "/..%2f..%2fetc/passwd"):
            answer = self.signed_as_sent("PUT", path)
            expect(answer.status in (400, 404, 405) and answer.code, f"{path}: {answer}")

    def signed_as_sent(self, method, path):
        """The canonical path is made of what the escapes mean, where they mean something."""
        meant = urllib.parse.unquote_to_bytes(path)
        request = self.target.signed(
            method, urllib.parse.quote(meant, safe="/~"))
        request.path = path
        body = b"x" if method == "PUT" else b""
        return self.target.ask(request.head(length=len(body)) + body)

    def elsewhere(self):
        """The same in documents, prefixes and forms."""
        client, bucket = self.target.s3, self.target.bucket
        for key in ("../../etc/passwd", "../kept", "./kept", "/kept", "kept/", "kept\t", "Kept"):
            path = "/" + bucket
            body = "<Delete><Object><Key>%s</Key></Object></Delete>" % key
            answer = self.send("POST", path, body.encode(), query="delete=")
            expect(answer.status == 200, f"{key!r}: {answer}")
        for prefix in ("..", "../", "/", "./", "\x00", "\u00ff"):
            found = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
            expect(found["KeyCount"] == 0, f"{prefix!r}: {found}")


def cases(target):
    keys = Keys(target)
    return [
        ("keys that look like paths", keys.kept),
        ("keys that are none", keys.refused),
        ("paths in documents and prefixes", keys.elsewhere),
    ]
