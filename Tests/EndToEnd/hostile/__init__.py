"""Clients that send what no client should: each is answered as S3 answers, and nothing is stored."""

from harness import Devnet, expect

from . import checksums, documents, framing, frames, keys, mistakes, numbers, signatures, slow
from .wire import Target

PEERS = 4
PARTS = (framing, frames, checksums, documents, keys, numbers, signatures, mistakes, slow)


def run(cases, programs):
    accounts = ["other:other:other-secret"]
    with Devnet(programs, PEERS, accounts=accounts) as devnet:
        client = devnet.s3()
        client.create_bucket(Bucket="hostile")
        client.put_object(Bucket="hostile", Key="kept", Body=b"kept")
        target = Target(devnet, "hostile")

        def guarded(body):
            with target.nothing_stored():
                note = body()
            kept = client.get_object(Bucket="hostile", Key="kept")["Body"].read()
            expect(kept == b"kept", "an object of before came back different")
            return note

        for part in PARTS:
            for name, body in part.cases(target):
                cases.run(name, lambda: guarded(body))
