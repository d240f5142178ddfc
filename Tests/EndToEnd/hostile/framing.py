"""Requests that two servers read in two ways (RFC 9112 §11.2), and heads without an end."""

import concurrent.futures

from harness import MIB, expect

from .wire import presigned

# How much the gateway may grow while clients send 100 MiB of what it must not keep.
FLOOD_MIB = 24

# A line without an end in a body is given up like a body that does not go on, twice 10 s at most.
PATIENCE_S = 30

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

# What is put into the head of a PUT that would be right without it, and the status.
HEADS = {
    "a length twice": ("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
    "two lengths": ("Content-Length: 3\r\nContent-Length: 60\r\n", 400),
    "a list of lengths": ("Content-Length: 3, 3\r\n", 400),
    "a signed length": ("Content-Length: +3\r\n", 400),
    "a negative length": ("Content-Length: -3\r\n", 400),
    "a length in hexadecimal": ("Content-Length: 0x3\r\n", 400),
    "an empty length": ("Content-Length:\r\n", 400),
    "a length with junk": ("Content-Length: 3;a\r\n", 400),
    "a length of 2^64": ("Content-Length: 18446744073709551616\r\n", 400),
    "a length and chunks": ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunks and a length": ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
    "chunks twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunks and identity": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
    "gzip": ("Transfer-Encoding: gzip\r\n", 501),
    "gzip and chunks": ("Transfer-Encoding: gzip, chunked\r\n", 501),
    "a coding nobody knows": ("Transfer-Encoding: xchunked\r\n", 501),
    "chunks behind a vertical tab": ("Transfer-Encoding: \x0bchunked\r\n", 400),
    "space before a colon": ("Content-Length : 3\r\n", 400),
    "a tab before a colon": ("Content-Length\t: 3\r\n", 400),
    "chunks before a spaced colon": ("Transfer-Encoding : chunked\r\nContent-Length: 3\r\n", 400),
    "a bare LF": ("X-A: y\nContent-Length: 3\r\n", 400),
    "a bare CR": ("X-A: y\rContent-Length: 3\r\n", 400),
    "CR CR LF": ("Content-Length: 3\r\r\n", 400),
    "a folded line": ("X-A: y\r\n Content-Length: 60\r\nContent-Length: 3\r\n", 400),
    "a folded coding": ("Transfer-Encoding:\r\n chunked\r\n", 400),
    "space before the first field": (" X-A: y\r\nContent-Length: 3\r\n", 400),
    "NUL in a value": ("X-A: y\0z\r\nContent-Length: 3\r\n", 400),
    "NUL in a name": ("X\0-A: y\r\nContent-Length: 3\r\n", 400),
    "a control in a value": ("X-A: \x01\r\nContent-Length: 3\r\n", 400),
    "no colon": ("nonsense\r\nContent-Length: 3\r\n", 400),
    "no name": (": y\r\nContent-Length: 3\r\n", 400),
    "space in a name": ("X A: y\r\nContent-Length: 3\r\n", 400),
    "a second host": ("Host: other\r\nContent-Length: 3\r\n", 400),
}

LINES = [
    "GET  %s HTTP/1.1", "GET\t%s\tHTTP/1.1", "GET %s  HTTP/1.1", "GET %s HTTP/1.1 x", "GET %s",
    "GET %s HTTP/2.0", "GET %s HTTP/1.10", "GET %s HTTP/1.1\nHost: h", "GET %s\0 HTTP/1.1",
    "G\0ET %s HTTP/1.1", "GET %s\x01 HTTP/1.1", "%s",
]

CHUNKS = {
    "no size": b"zz\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a size of 2^64": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "space behind a size": b"3 \r\nabc\r\n0\r\n\r\n",
    "more than the size": b"3\r\nabcde\r\n0\r\n\r\n",
    "less than the size": b"5\r\nabc\r\n0\r\n\r\n",
    "an end that does not come": b"3\r\nabc\r\n",
}


class Framing:
    def __init__(self, target):
        self.target = target
        self.path = "/%s/framed" % target.bucket

    def presigned_line(self):
        query = presigned(self.target, "PUT", self.path)
        return "PUT %s?%s HTTP/1.1\r\nHost: %s\r\n" % (self.path, query, self.target.authority)

    def heads(self):
        for name, (fields, status) in HEADS.items():
            data = (self.presigned_line() + fields + "\r\n").encode("latin-1") + b"abc" + SMUGGLED
            answer = self.target.ask(data)
            expect(answer.status == status, f"{name}: {answer}, not {status}")
            expect(answer.code and answer.data.count(b"HTTP/1.1 ") == 1, f"{name}: {answer}")
            expect(answer.is_closed and not answer.tells_of_smuggled, f"{name}: {answer}")
        # The same without what is wrong is stored, so that the cases above test what they say.
        data = self.presigned_line() + "Content-Length: 3\r\nConnection: close\r\n\r\nabc"
        answer = self.target.ask(data.encode())
        expect(answer.status == 200, str(answer))
        self.target.s3.delete_object(Bucket=self.target.bucket, Key="framed")
        return f"{len(HEADS)} heads"

    def request_lines(self):
        query = presigned(self.target, "GET", "/" + self.target.bucket)
        for line in LINES:
            line = line % ("/%s?%s" % (self.target.bucket, query))
            data = "%s\r\nHost: %s\r\n\r\n" % (line, self.target.authority)
            answer = self.target.ask(data.encode("latin-1") + SMUGGLED, ends=True)
            expect(answer.status != 200, f"{line!r}: {answer}")
            expect(answer.is_closed and not answer.tells_of_smuggled, f"{line!r}: {answer}")
        return f"{len(LINES)} lines"

    def chunks(self):
        """Of the coding of the transfer, around the framing that S3 has of its own."""
        for name, junk in CHUNKS.items():
            answer = self.target.ask(self.chunked_head() + junk + SMUGGLED, ends=True)
            expect(answer.status == 400 and answer.code, f"{name}: {answer}")
            expect(answer.is_closed and not answer.tells_of_smuggled, f"{name}: {answer}")
        inner = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
        answer = self.target.ask(self.chunked_head() + body + SMUGGLED)
        expect(answer.status == 200, str(answer))
        expect(answer.is_closed and not answer.tells_of_smuggled, f"something was read behind it: {answer}")
        self.target.s3.delete_object(Bucket=self.target.bucket, Key="framed")

    def chunked_head(self):
        request = self.target.signed("PUT", self.path, headers={
            "x-amz-decoded-content-length": "3", "x-amz-trailer": "x-amz-checksum-crc32"},
            payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        return request.head("Transfer-Encoding: chunked")

    # Floods

    def flood(self, start, piece, count):
        """Sends `count` pieces behind `start`; the gateway must close before it has heard all."""
        sent = []

        def pieces():
            yield start
            for _ in range(count):
                sent.append(len(piece))
                yield piece

        answer = self.target.ask(pieces(), timeout=PATIENCE_S)
        expect(answer.is_closed, f"still open after {sum(sent) >> 20} MiB: {answer}")
        expect(answer.status is None or answer.status in (400, 413, 414, 431), str(answer))

    def floods(self):
        line = self.presigned_line().encode()
        block = b"y" * 65536
        fields = b"".join(b"X-%04d: %s\r\n" % (index, b"y" * 50) for index in range(1000))
        kinds = [
            (line + b"X-A: ", block), (line, fields), (b"GET /", block), (b"G", block),
            (b"", b"\r\n" * 32768), (line, b"a: b\r\n" * 10000), (line, b"\r " * 32768),
            (self.chunked_head() + b"3;", block), (self.chunked_head() + b"0" * 20, b"0" * 65536),
            (self.chunked_head() + b"0\r\nX-A: ", block), (self.chunked_head() + b"0\r\n", fields),
            (line + b"Content-Length: ", b"9" * 65536),
        ]
        with self.target.memory_bound(FLOOD_MIB) as grown:
            with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
                list(pool.map(lambda kind: self.flood(*kind, 100 * MIB // len(kind[1]) + 1), kinds))
        return "%d floods, the gateway grew by %.0f MiB" % (len(kinds), grown[0])


def cases(target):
    framing = Framing(target)
    return [
        ("heads that are read in two ways", framing.heads),
        ("request lines that are none", framing.request_lines),
        ("chunks that are none", framing.chunks),
        ("heads and chunks of 100 MiB", framing.floods),
    ]
