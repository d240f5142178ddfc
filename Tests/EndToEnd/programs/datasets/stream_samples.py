"""mosaicml-streaming: samples are written to shards in a bucket and streamed back, shuffled, twice.

Usage: stream_samples.py s3://BUCKET/PREFIX FOLDER; the endpoint is S3_ENDPOINT_URL.
"""

import os
import random
import sys

import numpy

import torch_stand_in

HAS_TORCH = torch_stand_in.install()

from streaming import MDSWriter, StreamingDataset, __version__  # noqa: E402

SAMPLES = 600
COLUMNS = {"number": "int", "name": "str", "picture": "bytes", "weights": "ndarray:float32:16"}


def sample(number):
    generator = random.Random(number)
    return {
        "number": number, "name": "sample %d ü" % number,
        "picture": generator.randbytes(generator.randrange(40_000)),
        "weights": numpy.array([generator.random() for _ in range(16)], dtype=numpy.float32)}


def is_same(found, number):
    wanted = sample(number)
    return found.keys() == wanted.keys() and all(
        numpy.array_equal(found[name], value) if name == "weights" else found[name] == value
        for name, value in wanted.items())


def main():
    remote, folder = sys.argv[1:]
    with MDSWriter(
            out=remote, columns=COLUMNS, compression="zstd", hashes=["sha1", "xxh64"],
            size_limit=1 << 20) as writer:
        for number in range(SAMPLES):
            writer.write(sample(number))
    dataset = StreamingDataset(
        remote=remote, local=os.path.join(folder, "first"), shuffle=True, shuffle_seed=7,
        batch_size=16, validate_hash="sha1", num_canonical_nodes=1)
    orders = []
    for _ in range(2):
        order = []
        for found in dataset:
            assert is_same(found, int(found["number"])), "sample %s differs" % found["number"]
            order.append(int(found["number"]))
        assert sorted(order) == list(range(SAMPLES)), "%d samples" % len(order)
        orders.append(order)
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0]), "not shuffled"
    assert is_same(dataset[SAMPLES // 2], SAMPLES // 2), "a sample by its number differs"
    shards = len(dataset.shards)
    assert shards > 5, "%d shards" % shards
    print("mosaicml-streaming %s, %s, %d samples in %d shards" % (
        __version__, "torch" if HAS_TORCH else "torch stood in for", SAMPLES, shards))


if __name__ == "__main__":
    main()
