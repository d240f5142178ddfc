"""Junk in S3's own framing of bodies (aws-chunked), with and without signatures on its chunks."""

import hashlib
import zlib

from harness import MIB, expect

from .wire import EMPTY, base64_of, digest, refused

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = SIGNED + "-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

DATA = b"a" * 9000 + b"b" * 200
CHUNKS = [DATA[:8192], DATA[8192:]]
CRC = ("x-amz-checksum-crc32", base64_of(zlib.crc32(DATA).to_bytes(4, "big")))

INCOMPLETE = (400, "IncompleteBody")
INVALID = (400, "InvalidRequest")
MISMATCH = (403, "SignatureDoesNotMatch")
TRAILER = (400, "MalformedTrailerError")
GROWTH_MIB = 24


class Frames:
    def __init__(self, target):
        self.target = target
        self.path = "/%s/framed" % target.bucket

    def request(self, payload, length=len(DATA), trailer=CRC[0]):
        headers = {"x-amz-decoded-content-length": str(length), "content-encoding": "aws-chunked"}
        if payload.endswith("TRAILER") and trailer is not None:
            headers["x-amz-trailer"] = trailer
        return self.target.signed("PUT", self.path, headers=headers, payload=payload)

    def send(self, request, body, expected, what):
        answer = self.target.ask(request.head(length=len(body)) + body)
        if expected is None:
            expect(answer.status == 200, f"{what}: {answer}")
            self.target.s3.delete_object(Bucket=self.target.bucket, Key="framed")
        else:
            refused(answer, *expected, what)

    def signed_body(self, request, spoil=None, trailers=(), seal=None, chunks=CHUNKS):
        """Chunks with signatures; `spoil` is the index of one whose signature is changed."""
        previous, body = request.signature, b""
        for index, chunk in enumerate([*chunks, b""]):
            previous = request.seal("AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s\n%s\n%s\n%s" % (
                request.time, request.scope, previous, EMPTY, hashlib.sha256(chunk).hexdigest()))
            shown = previous[:-1] + ("0" if previous[-1] != "0" else "1")
            body += b"%x;chunk-signature=%s\r\n" % (
                len(chunk), (shown if spoil == index else previous).encode())
            body += chunk + b"\r\n" if chunk else b""
        if trailers:
            text = "".join("%s:%s\n" % trailer for trailer in trailers)
            seal = seal or request.seal("AWS4-HMAC-SHA256-TRAILER\n%s\n%s\n%s\n%s" % (
                request.time, request.scope, previous, digest(text)))
            body += "".join("%s:%s\r\n" % trailer for trailer in trailers).encode()
            body += b"x-amz-trailer-signature:%s\r\n" % seal.encode()
        return body + b"\r\n"

    def signatures(self):
        def case(expected, what, payload=SIGNED, change=lambda body: body, length=len(DATA),
                 **options):
            request = self.request(payload, length)
            self.send(request, change(self.signed_body(request, **options)), expected, what)

        case(None, "as it should be")
        case(None, "with a trailer", payload=SIGNED_TRAILER, trailers=[CRC])
        case(MISMATCH, "the first chunk", spoil=0)
        case(MISMATCH, "a chunk in the middle", spoil=1)
        case(MISMATCH, "the final chunk", spoil=2)
        case(MISMATCH, "another byte", change=lambda body: body.replace(b"aaa", b"aab", 1))
        case(MISMATCH, "swapped chunks", change=swapped)
        case(INCOMPLETE, "no final chunk", change=lambda body: body[:body.rindex(b"0;chunk")])
        case(INVALID, "no signatures", change=without_signatures)
        case(INVALID, "no signature in the final chunk",
             change=lambda body: body[:body.rindex(b"0;chunk")] + b"0\r\n\r\n")
        case(MISMATCH, "a trailer that is signed otherwise", payload=SIGNED_TRAILER,
             trailers=[CRC], seal="0" * 64)
        case(TRAILER, "no trailer", payload=SIGNED_TRAILER)
        case(TRAILER, "an unsigned trailer", payload=SIGNED_TRAILER,
             change=lambda body: body[:-2] + ("%s:%s\r\n\r\n" % CRC).encode())
        case((400, "BadDigest"), "a wrong checksum", payload=SIGNED_TRAILER,
             trailers=[(CRC[0], "AAAAAA==")])
        case(INVALID, "bytes behind the end", change=lambda body: body + b"more")
        case(INCOMPLETE, "less than it is told", length=len(DATA) + 1)
        case(INCOMPLETE, "more than it is told", length=len(DATA) - 1)

    def framing(self):
        def case(body, expected, what, **options):
            self.send(self.request(UNSIGNED_TRAILER, **options), body, expected, what)

        size = b"%x\r\n" % len(DATA)
        end = b"0\r\n" + ("%s:%s\r\n" % CRC).encode() + b"\r\n"
        good = size + DATA + b"\r\n" + end
        case(good, None, "as it should be")
        for junk in (b"zz\r\n", b"+23f0\r\n", b"-1\r\n", b"0x23f0\r\n", b"\r\n", b" 23f0\r\n",
                     b"23f0 \r\n", b"\xef\xbc\x92\r\n", b"10000000000000000\r\n", b"23f0\n"):
            case(junk + DATA + b"\r\n" + end, INVALID, repr(junk))
        case(b"ffffffffffffffff\r\n" + DATA + b"\r\n" + end, INCOMPLETE, "2^64 - 1")
        case(b"%x\r\n" % (len(DATA) - 1) + DATA + b"\r\n" + end, INVALID, "a size too small")
        case(b"%x\r\n" % (len(DATA) + 1) + DATA + b"\r\n" + end, INCOMPLETE, "a size too large")
        case(size + DATA + end, INVALID, "no CRLF behind the bytes")
        case(size + DATA + b"\n" + end, INVALID, "LF behind the bytes")
        case(size + DATA + b"\r\n", INCOMPLETE, "no final chunk")
        case(size + DATA[:-5], INCOMPLETE, "half a chunk")
        case(b"", INCOMPLETE, "nothing")
        case(good + b"more", INVALID, "bytes behind the end")
        case(b"23f0;" + b"x" * 2000, INVALID, "an endless extension")
        bare = size + DATA + b"\r\n0\r\n"
        field = ("%s:%s\r\n" % CRC).encode()
        case(bare + b"\r\n", TRAILER, "no trailer")
        case(bare + field + field + b"\r\n", TRAILER, "a trailer twice")
        case(bare + b"x-amz-checksum-crc32:AAAAAA==\r\n" + field + b"\r\n", TRAILER, "two of it")
        case(bare + b"x-amz-checksum-sha1:AAAA\r\n" + field + b"\r\n", TRAILER, "an unannounced one")
        case(bare + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", (400, "BadDigest"), "a wrong sum")
        case(bare + b"x-amz-checksum-crc32:nonsense\r\n\r\n", (400, "BadDigest"), "no sum")
        case(bare + b"nonsense\r\n\r\n", INVALID, "no field")
        case(bare + b"a:b\r\n" * 100 + b"\r\n", INVALID, "a hundred fields")
        case(good, INVALID, "a trailer of no checksum", trailer="x-amz-meta-a")
        for length in ("", "-1", "+9200", "x", "9200 0", str(1 << 64)):
            case(good, (400, "InvalidArgument"), "a length of " + length, length=length)
        case(good, (400, "EntityTooLarge"), "a length of 2^64 - 1", length=(1 << 64) - 1)

    def floods(self):
        """Lines without an end, and the smallest chunks, inside a body that may be large."""
        lines = [b"5;" + b"x" * MIB, b"0" * MIB, b"\r" * MIB, b"1\r\na\r\n" * 170_000]
        trailing = [b"0\r\n" + b"x" * MIB, b"0\r\n" + b"a:b\r\n" * 200_000, b"0\r\na:" + b"y" * MIB]
        with self.target.memory_bound(GROWTH_MIB) as grown:
            for start in lines + trailing:
                rest = [b"y" * MIB] * 40
                request = self.request(UNSIGNED_TRAILER, length=40 * MIB)
                head = request.head(length=len(start) + 40 * MIB)
                answer = self.target.ask([head, start, *rest])
                refused(answer, *INVALID, repr(start[:8]))
        return "the gateway grew by %.0f MiB" % grown[0]


def swapped(body):
    """The first two chunks, each with its own signature, in the other order."""
    second = body.index(b";chunk", 10)
    second = body.rindex(b"\r\n", 0, second) + 2
    third = body.rindex(b"0;chunk")
    return body[second:third] + body[:second] + body[third:]


def without_signatures(body):
    head, _, rest = body.partition(b";chunk-signature=")
    return head + rest[64:]


def cases(target):
    frames = Frames(target)
    return [
        ("signatures of chunks", frames.signatures),
        ("junk between chunks", frames.framing),
        ("lines without an end between chunks", frames.floods),
    ]
