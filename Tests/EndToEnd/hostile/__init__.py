"""Clients that send what no client should: each is answered as S3 answers, and nothing is stored."""

from harness import Devnet, expect

from . import checksums, documents, framing, frames, keys, mistakes, numbers, signatures, slow
from .wire import Target

PEERS = 4
PARTS = (framing, frames, checksums, documents, keys, numbers, signatures, mistakes, slow)
# What is about connections rather than about what is said on them.
PARTS_OF_CONNECTIONS = (framing, slow)


def run(cases, programs, parts=PARTS, extra=()):
    accounts = ["other:other:other-secret"]
    with Devnet(programs, PEERS, accounts=accounts, extra=extra) as devnet:
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

        for part in parts:
            for name, body in part.cases(target):
                name += " over TLS" if target.is_secure else ""
                cases.run(name, lambda: guarded(body))


class OverTLS:
    """The same of connections that speak TLS, where the library reads and closes otherwise."""

    @staticmethod
    def run(cases, programs):
        run(cases, programs, PARTS_OF_CONNECTIONS, ["--s3-tls-self-signed"])
