"""Writes the golden bytes of everything.proto with Google's Python runtime.

    pip install protobuf grpcio-tools
    python Tests/Schemas/everything.py > Tests/CyxCoreTests/Protobuf/GoldenBytes.swift

Run with protobuf 7.36.2 in its pure Python form, which sorts map entries in ascending order as the
C++ runtime does; the upb form has an order of its own. The named messages are built again, field by field, in
ProtobufGoldenTests.swift; `random` must come out of decoding and encoding unchanged; `foreign` are
inputs in another form (unpacked, split, out of order, repeated), each with what Google's runtime
writes after it has read them.
"""

import importlib
import os
import pathlib
import random
import struct
import sys
import tempfile

os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
import google.protobuf
from google.protobuf.internal import api_implementation
from grpc_tools import protoc

assert api_implementation.Type() == "python"
HERE = pathlib.Path(__file__).parent
BUILD = tempfile.mkdtemp()
protoc.main(["protoc", f"-I{HERE}", f"--python_out={BUILD}", str(HERE / "everything.proto")])
sys.path.insert(0, BUILD)
pb = importlib.import_module("everything_pb2")

INT32, INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
UINT32, UINT64 = (0, 2**32 - 1), (0, 2**64 - 1)
RANGES = {
    "int32": INT32, "sint32": INT32, "sfixed32": INT32, "int64": INT64, "sint64": INT64,
    "sfixed64": INT64, "uint32": UINT32, "fixed32": UINT32, "uint64": UINT64, "fixed64": UINT64,
}


def extremes(high):
    m = pb.Everything(double_value=-0.0, float_value=1.5, bool_value=True, last=1)
    for kind, bounds in RANGES.items():
        setattr(m, f"{kind}_value", bounds[1] if high else bounds[0])
        getattr(m, f"{kind}s").extend([bounds[0], 0, 1, bounds[1]])
    return m


def named():
    yield "empty", pb.Everything()
    yield "low", extremes(False)
    yield "high", extremes(True)
    yield "texts", pb.Everything(
        string_value="grüße \U0001f30d", bytes_value=bytes(range(256)), strings=["", "a", "ö"],
        byte_strings=[b"", b"\0", b"\xff" * 130], doubles=[0, -0.0, 1e300, float("inf")],
        floats=[0.25, float("-inf")], bools=[True, False, True])
    yield "enums", pb.Everything(
        verdict=7, colour=-2, verdicts=[0, 1, 7, 99, -5], optional_verdict=0)
    yield "present", pb.Everything(
        optional_int=0, optional_string="", optional_bytes=b"", optional_bool=False,
        leaf=pb.Leaf(), inner=pb.Everything.Inner(innermost=pb.Everything.Inner.Innermost()))
    yield "nested", pb.Everything(
        leaf=pb.Leaf(name="l" * 200, peer_id=b"p", weight=0),
        inner=pb.Everything.Inner(
            value=-1, innermost=pb.Everything.Inner.Innermost(default=True)),
        leaves=[pb.Leaf(), pb.Leaf(name="x")])
    yield "maps", pb.Everything(
        counts={"z": 1, "a": -1, "": 0, "é": 3, "\uffff": 4, "\U00010000": 5, "aa": 6},
        leaves_by_number={n: pb.Leaf(weight=abs(n)) for n in (5, -3, 0, 1000)},
        bytes_by_flag={True: b"t", False: b""}, verdicts_by_number={-1: 1, 1: 0, -(2**31): 7},
        names={0: "", 2**32 - 1: "max", 7: "seven"})
    yield "text", pb.Everything(text="")
    yield "number", pb.Everything(number=0)
    yield "chosenLeaf", pb.Everything(chosen_leaf=pb.Leaf(name="c"))
    yield "chosenVerdict", pb.Everything(chosen_verdict=0)
    yield "blob", pb.Everything(blob=b"\1\2")
    tree = pb.Tree()
    for name in "abcdefgh":
        tree = pb.Tree(leaf=pb.Leaf(name=name), children=[tree, pb.Tree()])
    yield "tree", tree


def scalar(field, rng):
    kind = {v: k[5:].lower() for k, v in vars(type(field)).items() if k.startswith("TYPE_")}[
        field.type]
    if kind in RANGES:
        low, high = RANGES[kind]
        return rng.choice([low, high, 0, 1, rng.randint(low, high), rng.randrange(300)])
    return {
        "double": lambda: rng.choice([0.0, -0.0, rng.gauss(0, 1e9)]),
        "float": lambda: struct.unpack("<f", struct.pack("<f", rng.gauss(0, 10)))[0],
        "bool": lambda: rng.random() < 0.5,
        "string": lambda: "".join(rng.choice("aZ0 üß漢\U0001f600") for _ in range(rng.randrange(9))),
        "bytes": lambda: rng.randbytes(rng.choice([0, 1, 20, 127, 128, 300])),
        "enum": lambda: rng.choice([0, 1, 7, 12345, -9]),
    }[kind]()


def fill(message, rng, depth=0):
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.6:
            continue
        count = rng.randrange(6)
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields_by_number[1], field.message_type.fields_by_number[2]
            for _ in range(count):
                entries = getattr(message, field.name)
                if value.message_type:
                    fill(entries[scalar(key, rng)], rng, depth + 1)
                else:
                    entries[scalar(key, rng)] = scalar(value, rng)
        elif field.message_type:
            target = getattr(message, field.name)
            if not field.is_repeated:
                target.SetInParent()
                fill(target, rng, depth + 1)
            elif depth < 3:
                for _ in range(count):
                    fill(target.add(), rng, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(scalar(field, rng) for _ in range(count))
        else:
            setattr(message, field.name, scalar(field, rng))
    return message


def foreign():
    h = bytes.fromhex
    yield "unpacked int32s", h("880201" "880202" "8802ffffffffffffffffff01")
    yield "packed twice", h("8a020101" "8a02020203")
    yield "unpacked fixed32s", h("bd0201000000" "bd0202000000")
    yield "scalar twice", h("1801" "1802")
    yield "message in two parts", h("9201030a0161" "920103120162")
    yield "oneof replaced", h("ea030161" "f00305")
    yield "oneof message merged", h("fa03030a0161" "fa0303120162")
    yield "oneof message after other", h("fa03030a0161" "f00305" "fa0303120162")
    yield "fields out of order", h("720161" "1805")
    yield "map entry without value", h("9a03030a0161")
    yield "map entry without key", h("9a03021005")
    yield "map entry swapped", h("9a030510070a0161")
    yield "map key twice", h("9a03050a01611001" "9a03050a01611002")
    yield "long zero varint", h("18808080808080808000")
    yield "int32 of 64 bits", h("1881808080808080808001")
    yield "uint32 of 64 bits", h("28ffffffffffffffffff01")
    yield "bool of 64 bits", h("68808080808080808001")
    yield "default present", h("1800" "7200")


def write(message):
    return message.SerializeToString(deterministic=True)


def literal(data, indent):
    """A Swift string literal, in lines of at most 100 columns."""
    text = data.hex()
    if len(text) <= 80:
        return f'"{text}"'
    lines = [text[i : i + 80] for i in range(0, len(text), 80)]
    return f'"""\n{indent}' + f"\\\n{indent}".join(lines) + f'\n{indent}"""'


def main():
    print(f"// Written by Tests/Schemas/everything.py with Google's protobuf {google.protobuf.__version__}.")
    print("// Hexadecimal. Do not edit.")
    print("enum GoldenBytes {")
    for name, message in named():
        print(f"    static let {name} =\n        {literal(write(message), ' ' * 8)}\n")
    print("    static let random: [String] = [")
    for seed in range(16):
        print(f"        {literal(write(fill(pb.Everything(), random.Random(seed))), ' ' * 8)},")
    print("    ]\n\n    static let foreign: [(name: String, input: String, output: String)] = [")
    for name, data in foreign():
        out = write(pb.Everything.FromString(data))
        print(f'        ("{name}", "{data.hex()}", "{out.hex()}"),')
    print("    ]\n}")


main()
