"""Wrong checksums of every kind, in headers and in trailers, of objects and of parts."""

import base64
import hashlib

from harness import expect

from .wire import base64_of, refused

BODY = b"123456789"
# Check values of their definitions for `123456789` (CRC RevEng; RFC 3720 appendix B.4 has CRC32C).
RIGHT = {
    "crc32": base64_of(bytes.fromhex("cbf43926")),
    "crc32c": base64_of(bytes.fromhex("e3069283")),
    "crc64nvme": base64_of(bytes.fromhex("ae8b14860a799888")),
    "sha1": base64_of(hashlib.sha1(BODY).digest()),
    "sha256": base64_of(hashlib.sha256(BODY).digest()),
}
BAD = (400, "BadDigest")
INVALID = (400, "InvalidRequest")


def spoiled(value):
    data = bytearray(base64.b64decode(value))
    data[-1] ^= 1
    return base64_of(bytes(data))


class Checksums:
    def __init__(self, target):
        self.target = target
        self.key = "summed"
        self.path = "/%s/%s" % (target.bucket, self.key)

    def put(self, headers, expected, what, query="", body=BODY):
        answer = self.target.send(
            "PUT", self.path, query, headers, body)
        if expected is None:
            expect(answer.status == 200, f"{what}: {answer}")
            if not query:
                self.target.s3.delete_object(Bucket=self.target.bucket, Key=self.key)
        else:
            refused(answer, *expected, what)
        return answer

    def headers(self, query=""):
        for name, value in RIGHT.items():
            field = "x-amz-checksum-" + name
            self.put({field: value}, None, name, query)
            answer = self.put({field: spoiled(value)}, BAD, name, query)
            for word in (value, spoiled(value), "9 bytes", "nothing was stored"):
                expect(word.encode() in answer.data, f"`{word}` is not in {answer}")
            self.put({field: value}, BAD, name + " of another body", query, b"123456780")
            self.put({field: "nonsense"}, INVALID, name, query)
            self.put({field: ""}, INVALID, name + ", empty", query)
            self.put({field: base64_of(b"x")}, INVALID, name + ", short", query)
            self.put({field: value + "AAAA"}, INVALID, name + ", long", query)
            self.put({field: value, "x-amz-sdk-checksum-algorithm": "MD5"}, INVALID, name, query)
            other = "sha1" if name != "sha1" else "crc32"
            self.put({field: value, "x-amz-checksum-" + other: RIGHT[other]}, INVALID, "two", query)
            self.put({field: value, "x-amz-sdk-checksum-algorithm": other}, INVALID, "not the one "
                     "that was announced", query)
        md5 = base64_of(hashlib.md5(BODY).digest())
        self.put({"content-md5": md5}, None, "MD5", query)
        self.put({"content-md5": spoiled(md5)}, BAD, "MD5", query)
        invalid = (400, "InvalidDigest")
        for wrong in ("", "nonsense", base64_of(b"short"), md5 + md5,
                      hashlib.md5(BODY).hexdigest()):
            self.put({"content-md5": wrong}, invalid, "MD5 " + wrong, query)
        # Both hold, or neither counts.
        both = {"content-md5": md5, "x-amz-checksum-crc32": spoiled(RIGHT["crc32"])}
        self.put(both, BAD, "MD5 right, CRC32 wrong", query)
        both = {"content-md5": spoiled(md5), "x-amz-checksum-crc32": RIGHT["crc32"]}
        self.put(both, BAD, "MD5 wrong, CRC32 right", query)

    def trailers(self, query=""):
        for name, value in RIGHT.items():
            field = "x-amz-checksum-" + name
            for sent, expected in (
                    (value, None), (spoiled(value), BAD), ("nonsense", BAD), ("", BAD)):
                body = b"9\r\n%s\r\n0\r\n%s:%s\r\n\r\n" % (BODY, field.encode(), sent.encode())
                request = self.target.signed("PUT", self.path, query, {
                    "x-amz-trailer": field, "x-amz-decoded-content-length": "9"}, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
                answer = self.target.ask(request.head(length=len(body)) + body)
                if expected:
                    refused(answer, *expected, name)
                else:
                    expect(answer.status == 200, f"{name}: {answer}")
            body = b"9\r\n%s\r\n0\r\n\r\n" % BODY
            request = self.target.signed("PUT", self.path, query, {
                "x-amz-trailer": field, "x-amz-decoded-content-length": "9"},
                payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            refused(self.target.ask(request.head(length=len(body)) + body), 400,
                    "MalformedTrailerError", name)
        if not query:
            self.target.s3.delete_object(Bucket=self.target.bucket, Key=self.key)

    def parts(self):
        """The same for a part; a completion that names wrong sums leaves the upload as it was."""
        client, bucket = self.target.s3, self.target.bucket
        upload = client.create_multipart_upload(Bucket=bucket, Key=self.key)["UploadId"]
        query = "partNumber=1&uploadId=" + upload
        try:
            self.headers(query)
            self.trailers(query)
            path, query = self.path, "uploadId=" + upload
            for document, code in (
                    ("<ETag>%s</ETag>" % ("0" * 32), "InvalidPart"),
                    ("<ETag>nonsense</ETag>", "InvalidPart"), ("", "MalformedXML")):
                body = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>%s</Part>"
                        "</CompleteMultipartUpload>" % document).encode()
                answer = self.target.send(
                    "POST", path, query, body=body)
                expect(code.encode() in answer.data, f"{document}: {answer}")
            listed = client.list_parts(Bucket=bucket, Key=self.key, UploadId=upload)
            expect(len(listed.get("Parts", [])) == 1, str(listed))
        finally:
            client.abort_multipart_upload(Bucket=bucket, Key=self.key, UploadId=upload)


def cases(target):
    checksums = Checksums(target)
    return [
        ("wrong checksums in headers", checksums.headers),
        ("wrong checksums in trailers", checksums.trailers),
        ("wrong checksums of parts", checksums.parts),
    ]
