"""Streams of the samples of data sets: lines, rows of arrays and records, in batches."""

import ast
import csv
import http.client
import io
import json
import random
import struct

from harness import MIB, expect, random_bytes

SMALL = 2000


def array_file(kind, shape, data, order=False):
    """A .npy file, version 1.0, as NumPy writes it."""
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def read_arrays(stream):
    """The .npy files that stand one after the other: their types, shapes and bytes."""
    file, found = io.BytesIO(stream), []
    while magic := file.read(8):
        expect(magic == b"\x93NUMPY\x01\x00", magic)
        head = ast.literal_eval(file.read(struct.unpack("<H", file.read(2))[0]).decode())
        expect(file.tell() % 64 == 0 or len(found) > 0, "alignment")
        size = int(head["descr"][2:])
        for count in head["shape"]:
            size *= count
        found.append((head["descr"], head["shape"], file.read(size)))
        expect(len(found[-1][2]) == size, "a cut array")
    return found


class Samples:
    def __init__(self, sets, post, fetch, refused):
        self.sets, self.post, self.fetch, self.refused = sets, post, fetch, refused

    def made(self, file, kind, **fields):
        status, made = self.post(
            self.sets.first, self.sets.token, file, [("format", kind), *fields.items()])
        expect(status == 201, made)
        return made["cid"]

    def stream(self, cid, query="", gateway=None):
        return self.fetch(
            gateway or self.sets.second, f"/datasets/{cid}/stream?{query}", self.sets.token)

    def batches(self, cid, query):
        status, got, headers = self.stream(cid, query)
        expect(status == 200, f"{status} {got[:500]}")
        expect(headers["content-type"] == "application/x-ndjson", headers)
        return [json.loads(line) for line in got.splitlines()]

    def lines(self):
        """Lines of JSON, in batches of which the last is short, over several chunks of the object."""
        generator = random.Random(5)
        items = [{"n": n, "text": "é" * generator.randrange(SMALL)} for n in range(2501)]
        text = "\n".join(json.dumps(item, ensure_ascii=n % 2 == 0)
                         for n, item in enumerate(items)).encode()
        expect(len(text) > 3 * MIB, len(text))
        cid = self.made(text, "jsonl")
        found = self.batches(cid, "batch_size=100")
        expect([len(batch["items"]) for batch in found] == [100] * 25 + [1], "sizes")
        expect([batch["batch_index"] for batch in found] == list(range(26)), "numbers")
        expect([batch["is_last"] for batch in found] == [False] * 25 + [True], "the last")
        expect([item for batch in found for item in batch["items"]] == items, "items")
        found = self.batches(cid, "batch_size=100&drop_last=true")
        expect(len(found) == 25 and found[-1]["is_last"], "without the short one")
        found = self.batches(cid, "batch_size=7&offset=2000&limit=10")
        expect([item for batch in found for item in batch["items"]] == items[2000:2010], "slice")
        status, got, _ = self.stream(cid, "format=raw&limit=2")
        expect(status == 200 and got == b"\n".join(text.split(b"\n")[:2]) + b"\n", got[:100])
        expect(self.stream(self.made(b"", "jsonl"))[:2] == (200, b""), "nothing")
        self.refused(self.stream(cid, "format=numpy"), 400, "FormatMismatch")

    def tables(self):
        """Comma-separated values become objects, arrays of numbers, or stay lines."""
        rows = [[str(n), f'a "{n}",\nb', str(n / 4)] for n in range(70)]
        buffer = io.StringIO()
        csv.writer(buffer).writerows([["n", "text", "x"], *rows])
        cid = self.made(buffer.getvalue().encode(), "csv")
        found = [item for batch in self.batches(cid, "") for item in batch["items"]]
        expect(found == [dict(zip(["n", "text", "x"], row)) for row in rows], found[:2])
        status, got, _ = self.stream(cid, "format=raw")
        expect(list(csv.reader(io.StringIO(got.decode(), newline=""))) == rows, got[:100])
        answer = self.refused(self.stream(cid, "format=numpy"), 400, "MalformedSample")
        expect("line 2" in answer["message"] and "no number" in answer["message"], answer)
        numbers = "\n".join(["a,b", *(f"{n},{n}.5" for n in range(50)), ",7"]).encode()
        arrays = read_arrays(self.stream(self.made(numbers, "csv"), "format=numpy")[1])
        expect([shape for _, shape, _ in arrays] == [(32, 2), (19, 2)], arrays)
        values = struct.unpack("<102d", b"".join(data for _, _, data in arrays))
        expect(values[:4] == (0, .5, 1, 1.5) and values[-1] == 7 and values[-2] != values[-2],
               values[-4:])

    def arrays(self):
        """Rows of an array along its first axis, each batch an array of its own."""
        data = random_bytes(1000 * 28 * 28 * 2, "array")
        cid = self.made(array_file("<u2", (1000, 28, 28), data), "npy")
        status, got, headers = self.stream(cid, "batch_size=300")
        found = read_arrays(got)
        expect([entry[:2] for entry in found] == [
            ("<u2", (n, 28, 28)) for n in (300, 300, 300, 100)], [entry[:2] for entry in found])
        expect(b"".join(entry[2] for entry in found) == data, "the rows")
        expect((headers["x-cyx-samples"], headers["x-cyx-batches"]) == ("1000", "4"), headers)
        expect(headers["content-length"] == str(len(got)), headers)
        row = 28 * 28 * 2
        status, got, _ = self.stream(cid, "batch_size=10&format=raw&offset=990&limit=99")
        expect((status, got) == (200, data[990 * row:]), len(got))
        found = read_arrays(self.stream(cid, "batch_size=300&drop_last=1&offset=1")[1])
        expect(len(found) == 3 and found[0][2] == data[row:301 * row], "without the short one")
        for file in (array_file("<f4", (2, 3), b"x" * 24, True), array_file("|O", (2,), b""),
                     array_file("<f4", (), b"x" * 4)):
            self.refused(self.stream(self.made(file, "npy")), 400, "FormatMismatch")
        for file in (array_file("<f4", (2, 3), b"x" * 23), array_file("<f4", (2, 3), b"x" * 25),
                     b"", b"x" * 9000, array_file("<f4", (2, 3), b"x" * 24)[:50],
                     array_file("<f4", (2**62, 2**62), b"x" * 24)):
            self.refused(self.stream(self.made(file, "npy")), 400, "MalformedSample")
        self.refused(self.stream(cid, "format=jsonl"), 400, "FormatMismatch")

    def records(self):
        """Records of one size, as bytes or as arrays of bytes."""
        data = random_bytes(3 * MIB, "records")
        cid = self.made(data, "raw")
        status, got, headers = self.stream(cid, "record_size=3072&batch_size=100")
        expect((status, got == data) == (200, True), status)
        expect((headers["x-cyx-samples"], headers["x-cyx-batches"]) == ("1024", "11"), headers)
        found = read_arrays(self.stream(cid, "record_size=3072&format=numpy&batch_size=1000")[1])
        expect([entry[:2] for entry in found] == [("|u1", (1000, 3072)), ("|u1", (24, 3072))], found)
        expect(b"".join(entry[2] for entry in found) == data, "the records")
        status, got, _ = self.stream(cid, "record_size=3072&offset=1020&limit=2")
        expect(got == data[1020 * 3072:1022 * 3072], len(got))
        expect(self.stream(cid, "record_size=3072&offset=5000")[:2] == (200, b""), "behind the end")
        self.refused(self.stream(cid), 400, "FormatMismatch")
        answer = self.refused(self.stream(cid, "record_size=1000"), 400, "FormatMismatch")
        expect("728 are left over" in answer["message"], answer)
        for query in ("format=arrow", "shuffle=true"):
            self.refused(self.stream(cid, "record_size=1024&" + query), 501, "NotImplemented")
        for query in ("batch_size=0", "batch_size=65537", "record_size=0", "format=x", "offset=-1",
                      "drop_last=maybe", "bach_size=3"):
            self.refused(self.stream(cid, query), 400, "InvalidArgument")

    def faults(self):
        """What is wrong further on is told in a last line, or cuts the answer off."""
        text = b'{"a":1}\n' * 300_000 + b"{\n"
        cid = self.made(text, "jsonl")
        found = self.batches(cid, "batch_size=1000")
        expect(len(found) == 301 and found[-1]["error"]["code"] == "MalformedSample", found[-1])
        expect("Line 300001" in found[-1]["error"]["message"], found[-1])
        table = b"a\n" + b"1\n" * 300_000 + b"x\n"
        try:
            status, got, _ = self.stream(self.made(table, "csv"), "format=numpy&batch_size=1000")
            expect(False, f"{status}, {len(got)} bytes, although a line is no number")
        except http.client.IncompleteRead as error:
            expect(len(error.partial) > 0, "what came before")

    def cases(self):
        return (
            ("samples that are lines of JSON", self.lines),
            ("samples that are lines of a table", self.tables),
            ("samples that are rows of an array", self.arrays),
            ("samples that are records", self.records),
            ("streams with faults further on", self.faults),
        )
