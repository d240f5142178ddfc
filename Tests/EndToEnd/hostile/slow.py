"""Hundreds of clients that begin and do not go on (decisions §G: heads within 10 s, bodies 1 KiB/s)."""

import contextlib
import resource
import select
import ssl
import time

from harness import MIB, expect, random_bytes

from .wire import presigned

# The gateway serves 1,024 connections at a time, and its owner needs some of them. With TLS each has
# to shake hands first, for milliseconds of a core.
CLIENTS = 960
CLIENTS_OF_TLS = 240
# So many begin before the others are looked after.
AT_ONCE = 12
# What the gateway may grow by for the others.
GROWTH_MIB = 128
# What it may grow by for those that do not read: for each the first windows, since the kernel takes some
# of what is sent, but for all of them together what is set aside for reads; beside that the buffers of
# each connection.
READER_MIB = 6
READ_MEMORY_MIB = 256
CONNECTION_MIB = 0.5
REST_MIB = 48
# The limit itself, what the gateway looks at it by, and what a busy machine takes.
HEAD_S = 10 + 1 + 4
BODY_S = 2 * 10 + 1 + 4
# The owner's requests meanwhile.
PATIENCE_S = 4
# Others do not keep a client waiting for ever: they are asked to put down what they hold.
READ_S = 60
# How a TLS connection begins, of which the rest does not come (RFC 8446 §4.1.2 and §5.1).
HALF_A_HELLO = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"


class Client:
    """A connection that sends `start`, then a byte of `drip` every second."""

    def __init__(self, connection, kind, start, drip=b""):
        self.kind = kind
        self.drip = drip
        self.socket = connection
        self.socket.setblocking(False)
        self.socket.sendall(start)
        self.began = self.last = time.monotonic()
        self.closed_after = None
        self.received = b""

    def go_on(self, now):
        if self.drip and now - self.last >= 1:
            self.last = now
            with contextlib.suppress(OSError):
                self.socket.send(self.drip)

    def look(self, now):
        try:
            data = self.socket.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.closed_after = now - self.began


class Slow:
    def __init__(self, target):
        self.target = target
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))

    def head(self, length):
        path = "/%s/slow" % self.target.bucket
        query = presigned(self.target, "PUT", path)
        return ("PUT %s?%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (
            path, query, self.target.authority, length)).encode()

    def kinds(self):
        """By name: when it must be closed, how it connects, what it says, and then each second."""
        connect = self.target.connect
        kinds = {
            "silent": (HEAD_S, connect, b"", b""),
            "half a head": (HEAD_S, connect, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ", b"y"),
            "a trickling body": (BODY_S, connect, self.head(MIB), b"y" * 100),
            "half a body": (BODY_S, connect, self.head(20_000) + b"y" * 10_000, b""),
        }
        if self.target.is_secure:
            plainly = self.target.connect_plainly
            kinds["no hello"] = (HEAD_S, plainly, b"", b"")
            kinds["half a hello"] = (HEAD_S, plainly, HALF_A_HELLO, b"")
        return kinds

    def stall(self):
        client, kinds = self.target.s3, self.kinds()
        limits = {kind: limit for kind, (limit, *_) in kinds.items()}
        count = CLIENTS_OF_TLS if self.target.is_secure else CLIENTS
        waiting = list(kinds) * (count // len(kinds))
        clients, open_clients, worst, begun = [], [], 0, time.monotonic()
        with self.target.memory_bound(GROWTH_MIB) as grown:
            try:
                while waiting or open_clients and time.monotonic() - begun < BODY_S:
                    for kind in waiting[:AT_ONCE]:
                        _, connect, start, drip = kinds[kind]
                        clients.append(Client(connect(), kind, start, drip))
                        begun = time.monotonic()
                    del waiting[:AT_ONCE]
                    open_clients = [one for one in clients if one.closed_after is None]
                    poll = select.poll()
                    for one in open_clients:
                        poll.register(one.socket, select.POLLIN)
                    poll.poll(0 if waiting else 500)
                    now = time.monotonic()
                    for one in open_clients:
                        one.look(now)
                        one.go_on(now)
                    client.head_object(Bucket=self.target.bucket, Key="kept")
                    worst = max(worst, time.monotonic() - now)
            finally:
                for one in clients:
                    one.socket.close()
        for one in clients:
            expect(one.closed_after is not None, f"{one.kind}: still open")
            expect(one.closed_after <= limits[one.kind],
                   f"{one.kind}: closed after {one.closed_after:.1f} s")
            expect(b" 200 " not in one.received, f"{one.kind}: {one.received[:100]}")
        expect(worst <= PATIENCE_S, f"another client waited for {worst:.1f} s")
        latest = {kind: max(one.closed_after for one in clients if one.kind == kind)
                  for kind in kinds}
        return "%d clients, the gateway grew by %.0f MiB, others waited %.1f s at most; %s" % (
            len(clients), grown[0], worst,
            ", ".join("%s %.0f s" % item for item in latest.items()))

    def half_bodies(self):
        """Clients that go away in the midst of their bodies."""
        with self.target.memory_bound(GROWTH_MIB) as grown:
            for _ in range(100):
                with self.target.connect() as connection:
                    connection.sendall(self.head(10 * MIB) + b"y" * (256 << 10))
        return "the gateway grew by %.0f MiB" % grown[0]

    def idle_readers(self, count):
        """Clients that ask for a large object and do not read it."""
        key, size = "large", 16 * MIB
        bucket, client = self.target.bucket, self.target.s3
        body = random_bytes(size, 5)
        client.put_object(Bucket=bucket, Key=key, Body=body)
        query = presigned(self.target, "GET", "/%s/%s" % (bucket, key))
        head = "GET /%s/%s?%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (
            bucket, key, query, self.target.authority)
        allowed = min(count * READER_MIB, READ_MEMORY_MIB) + count * CONNECTION_MIB + REST_MIB
        readers = []
        try:
            with self.target.memory_bound(allowed) as grown:
                for _ in range(count):
                    readers.append(self.target.connect(receive_buffer=4096))
                    readers[-1].sendall(head.encode())
                time.sleep(2)
                # What is held for them keeps nobody from reading.
                begun = time.monotonic()
                read = client.get_object(Bucket=bucket, Key=key)["Body"].read()
                took = time.monotonic() - begun
        finally:
            for reader in readers:
                reader.close()
            client.delete_object(Bucket=bucket, Key=key)
        expect(read == body, "another client got other bytes")
        expect(took <= READ_S, f"another client read for {took:.1f} s")
        return "%d of them, the gateway grew by %.0f MiB, another read 16 MiB in %.1f s" % (
            count, grown[0], took)


def cases(target):
    slow = Slow(target)
    return [
        ("many clients that do not go on", slow.stall),
        ("bodies that stop half way", slow.half_bodies),
        ("readers that do not read", lambda: slow.idle_readers(40)),
        ("hundreds of readers that do not read", lambda: slow.idle_readers(400)),
    ]
