"""Stolen, altered, expired and replayed signatures (SigV4 as the S3 documentation has it)."""

import datetime
import hashlib

from harness import expect

from .wire import EMPTY, UNSIGNED, base64_of, presigned, refused

MISMATCH = (403, "SignatureDoesNotMatch")
DENIED = (403, "AccessDenied")
MALFORMED = (400, "AuthorizationHeaderMalformed")
QUERY = (400, "AuthorizationQueryParametersError")


def shifted(**time):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**time)


class Signatures:
    def __init__(self, target):
        self.target = target
        self.path = "/%s/stolen" % target.bucket

    def put(self, change=lambda request: None, body=b"body", expected=MISMATCH, what="", **options):
        """A PUT that was signed, then changed."""
        request = self.target.signed("PUT", self.path, **options)
        change(request)
        refused(self.target.ask(request.head(length=len(body)) + body),
                *expected, what)

    def altered(self):
        def header(name, value):
            return lambda request: request.headers.update({name: value})

        meta = {"x-amz-meta-a": "b", "content-type": "text/plain"}
        self.put(lambda r: setattr(r, "path", r.path + "2"), what="another path")
        self.put(lambda r: setattr(r, "path", "/" + self.target.bucket), what="the bucket")
        self.put(lambda r: setattr(r, "path", r.path.replace("st", "s%74")[:-1] + "N"))
        self.put(lambda r: setattr(r, "method", "POST"), what="another method")
        self.put(lambda r: setattr(r, "method", "DELETE"), what="another method")
        self.put(lambda r: setattr(r, "query", "acl="), what="a query")
        self.put(lambda r: setattr(r, "query", "tagging=b"), query="tagging=a", what="a query")
        self.put(lambda r: setattr(r, "query", ""), query="tagging=a", what="without its query")
        self.put(header("host", "elsewhere"), what="another host")
        self.put(header("x-amz-meta-a", "c"), headers=meta, what="a header")
        self.put(header("content-type", "text/html"), headers=meta, what="a header")
        self.put(lambda r: r.headers.pop("x-amz-meta-a"), headers=meta, expected=DENIED)
        self.put(header("x-amz-meta-b", "c"), expected=DENIED, what="a header that is not signed")
        self.put(header("x-amz-acl", "public-read"), expected=DENIED)
        self.put(header("x-amz-content-sha256", EMPTY), what="another hash")
        self.put(header("x-amz-date", "20130524T000000Z"),
                 expected=(400, "AuthorizationHeaderMalformed"), what="another day")
        self.put(header("x-amz-content-sha256", "x" * 64), expected=(400, "InvalidArgument"))
        self.put(header("x-amz-content-sha256", "STREAMING-NONSENSE"),
                 expected=(400, "InvalidArgument"))

    def malformed(self):
        def authorization(change):
            return lambda r: r.headers.update(authorization=change(r.headers["authorization"]))

        self.put(authorization(lambda a: a[:-1]), what="a shorter signature")
        self.put(authorization(lambda a: a + "0"), what="a longer one")
        self.put(authorization(lambda a: a[:-64]), expected=MALFORMED, what="none")
        self.put(authorization(lambda a: a[:-64] + a[-64:].upper()), what="in upper case")
        self.put(authorization(lambda a: a + "," + a.split(" ")[-1]), expected=MALFORMED)
        self.put(authorization(lambda a: a.replace("/s3/", "/ec2/")), expected=MALFORMED)
        self.put(authorization(lambda a: a.replace("aws4_request", "aws4")), expected=MALFORMED)
        self.put(authorization(lambda a: a.replace("host;", "")), expected=DENIED)
        self.put(authorization(lambda a: a.replace("host;", "host;x-not-there;")), expected=DENIED)
        self.put(authorization(lambda a: "AWS4-HMAC-SHA512" + a[16:]),
                 expected=(400, "InvalidArgument"))
        self.put(authorization(lambda a: "AWS4-HMAC-SHA256"), expected=MALFORMED)
        self.put(authorization(lambda a: "Basic ZGVtbzpkZW1v"), expected=(400, "InvalidArgument"))
        self.put(authorization(lambda a: "nonsense"), expected=(400, "InvalidArgument"))
        self.put(authorization(lambda a: "AWS demo:"), expected=MISMATCH)
        self.put(authorization(lambda a: "AWS demo"), expected=(400, "InvalidArgument"))
        self.put(authorization(lambda a: "AWS demo:AAAA"), expected=MISMATCH)
        request = self.target.signed("PUT", self.path)
        twice = request.head("authorization: AWS4-HMAC-SHA256 Credential=x", length=4)
        refused(self.target.ask(twice + b"body"), 400, "InvalidArgument", "two of them")
        request.query = presigned(self.target, "PUT", self.path)
        refused(self.target.ask(request.head(length=4) + b"body"), 400, "InvalidArgument")

    def keys(self):
        """Secrets and keys of others; what is said about a key must not tell what is right."""
        self.put(secret_key="nonsense", what="a wrong secret")
        self.put(secret_key="other-secret", what="another's secret")
        self.put(access_key="other", what="another's key")
        self.put(access_key="other", secret_key="other-secret", expected=DENIED,
                 what="another account")
        self.put(access_key="nobody", expected=(403, "InvalidAccessKeyId"))
        self.put(access_key="x" * 5000, expected=(403, "InvalidAccessKeyId"))
        refused(self.target.ask(
            ("PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
             % self.path).encode()),
            *DENIED, "no signature")

    def times(self):
        skewed = (403, "RequestTimeTooSkewed")
        self.put(at=shifted(minutes=-16), expected=skewed)
        self.put(at=shifted(minutes=16), expected=skewed)
        self.put(at=shifted(days=-400), expected=skewed)
        self.put(lambda r: r.headers.update({"x-amz-date": "nonsense"}), expected=DENIED)
        for name, expected, options in (
                ("expired", DENIED, {"at": shifted(seconds=-120), "expires": 60}),
                ("of the future", DENIED, {"at": shifted(minutes=16)}),
                ("for longer than a week", QUERY, {"expires": 604801}),
                ("for no time", DENIED, {"expires": 0}), ("for less", QUERY, {"expires": -1}),
                ("for ever", QUERY, {"expires": 99999999999999999999}),
                ("by another's key", DENIED, {
                    "access_key": "other", "secret_key": "other-secret"}),
                ("by a wrong secret", MISMATCH, {"secret_key": "nonsense"})):
            query = presigned(self.target, "PUT", self.path, **options)
            answer = self.link(query)
            refused(answer, *expected, "a link " + name)
            if name == "expired":
                expect(b"expired at" in answer.data, f"when is not told: {answer}")

    def link(self, query, path=None, method="PUT", head=""):
        return self.target.ask((
            "%s %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%sContent-Length: 4\r\n\r\nbody"
            % (method, path or self.path, query, self.target.authority, head)).encode())

    def links(self):
        query = presigned(self.target, "PUT", self.path)
        refused(self.link(query, path=self.path + "2"), *MISMATCH)
        refused(self.link(query, method="POST"), *MISMATCH)
        refused(self.link(query + "&acl="), *MISMATCH)
        refused(self.link(query + "&x-amz-acl=public-read"), *MISMATCH)
        refused(self.link("acl=&" + query), *MISMATCH)
        refused(self.link(query.replace("Expires=60", "Expires=61")), *MISMATCH)
        refused(self.link(query.replace("Headers=host", "Headers=")), *DENIED)
        refused(self.link(query.replace("Headers=host", "Headers=host%3Bx-a")), *DENIED)
        refused(self.link(query, head="x-amz-acl: public-read\r\n"), *DENIED)
        for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"):
            left = "&".join(f for f in query.split("&") if not f.startswith("X-Amz-" + name))
            refused(self.link(left), *QUERY, "without " + name)
            again = [f for f in query.split("&") if f.startswith("X-Amz-" + name)][0]
            refused(self.link(query + "&" + again), *QUERY, name + " twice")

    def replays(self):
        """A request that was heard, with another body."""
        stolen = hashlib.sha256(b"body").hexdigest()
        mismatch = (400, "XAmzContentSHA256Mismatch")
        self.put(payload=stolen, body=b"evil", expected=mismatch)
        self.put(payload=stolen, body=b"", expected=mismatch)
        self.put(payload=EMPTY, body=b"evil", expected=mismatch)
        md5 = {"content-md5": base64_of(hashlib.md5(b"body").digest())}
        self.put(payload=UNSIGNED, headers=md5, body=b"evil", expected=(400, "BadDigest"))
        for path, query in (("", "delete="), ("", "policy="), ("/kept", "tagging=")):
            method = "POST" if query == "delete=" else "PUT"
            body = b"<Delete><Object><Key>kept</Key></Object></Delete>"
            request = self.target.signed(
                method, "/" + self.target.bucket + path, query, payload=stolen)
            refused(self.target.ask(request.head(length=len(body)) + body), *mismatch, query)


def cases(target):
    signatures = Signatures(target)
    return [
        ("altered requests", signatures.altered),
        ("signatures that are none", signatures.malformed),
        ("keys of others", signatures.keys),
        ("times that are over or not yet", signatures.times),
        ("altered links", signatures.links),
        ("replays with another body", signatures.replays),
    ]
