"""What hostile clients need: signatures made by hand, raw sockets, and a watch on memory and bucket."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import pathlib
import re
import socket
import ssl
import urllib.parse

from harness import expect

# How the end of a connection shows while something is sent or read, with TLS and without.
CUT_OFF = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()


class Answer:
    """The first answer on a connection, and what became of the connection."""

    def __init__(self, data, is_closed):
        self.data = data
        self.is_closed = is_closed
        found = re.match(rb"HTTP/1\.1 (\d{3})", data)
        self.status = int(found.group(1)) if found else None
        code = re.search(rb"<Code>(\w+)</Code>", data)
        self.code = code.group(1).decode() if code else None

    @property
    def tells_of_smuggled(self):
        """Whether what followed the request was taken for another one; its path is in the answer."""
        return b"smuggled" in self.data

    def __repr__(self):
        return "%s %s%s: %r" % (
            self.status, self.code, " (closed)" if self.is_closed else "", self.data[:300])


class TLSConnection:
    """TLS over a connected socket. Other than that of `ssl`, it can tell the other side that nothing
    more comes (RFC 8446 §6.1) without a look at what has come by then, which would be lost."""

    def __init__(self, connection, context, host):
        self.socket = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        try:
            self.go_on(self.tls.do_handshake)
        except BaseException:
            self.close()
            raise

    def go_on(self, step, *arguments):
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                if more := self.socket.recv(1 << 16):
                    self.incoming.write(more)
                else:
                    self.incoming.write_eof()
            finally:
                self.flush()

    def flush(self):
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    def sendall(self, data):
        self.go_on(self.tls.write, data)

    def recv(self, count):
        return self.go_on(self.tls.read, count)

    def shutdown(self, how):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def close(self):
        self.socket.close()


class Target:
    """The gateway under test, as whoever has a key of it sees it."""

    def __init__(self, devnet, bucket):
        self.devnet = devnet
        self.bucket = bucket
        self.s3 = devnet.s3()
        parts = urllib.parse.urlsplit(devnet.endpoint)
        self.host, self.port = parts.hostname, parts.port
        self.tls = None
        if parts.scheme == "https":
            self.tls = ssl.create_default_context(cafile=devnet.ca_file)
        self.access_key, self.secret_key = "demo", "demo-secret"

    @property
    def authority(self):
        return "%s:%d" % (self.host, self.port)

    @property
    def is_secure(self):
        return self.tls is not None

    def connect(self, timeout=20, receive_buffer=None):
        """A connection on which a request can begin: with TLS, the handshake is done."""
        connection = self.connect_plainly(timeout, receive_buffer)
        if not self.is_secure:
            return connection
        try:
            return self.tls.wrap_socket(connection, server_hostname=self.host)
        except BaseException:
            connection.close()
            raise

    def connect_plainly(self, timeout=20, receive_buffer=None):
        """A connection on which nothing was said."""
        connection = socket.socket()
        connection.settimeout(timeout)
        if receive_buffer:
            # Before the window is told to the other side.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            connection.connect((self.host, self.port))
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_to_end(self, timeout=20):
        """A connection whose sending half can be closed alone."""
        connection = self.connect_plainly(timeout)
        return TLSConnection(connection, self.tls, self.host) if self.is_secure else connection

    def ask(self, data, timeout=20, ends=False):
        """Sends `data`, and reads until the gateway closes or says nothing for `timeout`."""
        received = b""
        with contextlib.closing((self.connect_to_end if ends else self.connect)(timeout)) as connection:
            is_closed = True
            # A gateway that has heard enough closes, or reads no more, while more is being sent.
            with contextlib.suppress(*CUT_OFF):
                for piece in [data] if isinstance(data, bytes) else data:
                    connection.sendall(piece)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
            try:
                while more := connection.recv(1 << 16):
                    received += more
            except CUT_OFF:
                pass
            except TimeoutError:
                is_closed = False
        return Answer(received, is_closed)

    def signed(self, method, path, query="", headers=None, **options):
        return Signed(self, method, path, query, headers or {}, **options)

    def send(self, method, path, query="", headers=None, body=b"", **options):
        """A signed request whose promises need not be true."""
        request = self.signed(method, path, query, headers, **options)
        return self.ask(request.head(length=len(body)) + body)

    def contents(self):
        """All that the bucket holds: keys, versions and uploads."""
        versions = self.s3.list_object_versions(Bucket=self.bucket)
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket)
        return (
            sorted((v["Key"], v["ETag"]) for v in versions.get("Versions", [])),
            sorted(upload["Key"] for upload in uploads.get("Uploads", [])))

    @contextlib.contextmanager
    def nothing_stored(self):
        before = self.contents()
        yield
        after = self.contents()
        expect(after == before, f"the bucket held {before}, now {after}")

    @contextlib.contextmanager
    def memory_bound(self, mib):
        """Fails if more of the gateway's memory was ever resident than before and `mib` more."""
        gateway = self.devnet.gateway
        # Makes VmHWM begin at what is resident now (proc(5)).
        pathlib.Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")
        before = gateway.resident_mib()
        growth = []
        yield growth
        grown = gateway.peak_resident_mib() - before
        growth.append(grown)
        expect(grown <= mib, f"the gateway grew by {grown:.0f} MiB, {mib} are allowed")


class Signed:
    """A request signed with version 4; its parts may be changed after that."""

    def __init__(self, target, method, path, query, headers, payload=UNSIGNED, at=None,
                 access_key=None, secret_key=None, region="auto"):
        self.method, self.path, self.query = method, path, query
        at = at or datetime.datetime.now(datetime.timezone.utc)
        self.time = at.strftime("%Y%m%dT%H%M%SZ")
        self.scope = "%s/%s/s3/aws4_request" % (self.time[:8], region)
        key = ("AWS4" + (secret_key or target.secret_key)).encode()
        for part in self.scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self.key = key
        self.headers = {
            "host": target.authority, "x-amz-date": self.time, "x-amz-content-sha256": payload,
            **{name.lower(): value for name, value in headers.items()}}
        names = ";".join(sorted(self.headers))
        canonical = "%s\n%s\n%s\n%s\n%s\n%s" % (
            method, path, canonical_query(query),
            "".join("%s:%s\n" % (name, self.headers[name]) for name in sorted(self.headers)),
            names, payload)
        self.signature = self.seal(
            "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (self.time, self.scope, digest(canonical)))
        self.headers["authorization"] = (
            "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
                access_key or target.access_key, self.scope, names, self.signature))

    def seal(self, text):
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def head(self, *lines, length=None):
        """The head, with further lines before its end; `length` of the body if it is told so."""
        fields = ["%s: %s" % field for field in self.headers.items()] + list(lines)
        if not any(field.lower().startswith("connection:") for field in fields):
            fields.append("connection: close")
        if length is not None:
            fields.append("content-length: %d" % length)
        target = self.path + ("?" + self.query if self.query else "")
        return ("%s %s HTTP/1.1\r\n%s\r\n\r\n" % (
            self.method, target, "\r\n".join(fields))).encode("utf-8", "surrogateescape")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def base64_of(data):
    return base64.b64encode(data).decode()


def canonical_query(query):
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(sorted("%s=%s" % (name, value) for name, _, value in pairs))


def presigned(target, method, path, query="", expires=60, at=None, access_key=None,
              secret_key=None):
    """The query of a presigned URL."""
    at = at or datetime.datetime.now(datetime.timezone.utc)
    time = at.strftime("%Y%m%dT%H%M%SZ")
    scope = "%s/auto/s3/aws4_request" % time[:8]
    credential = "%s/%s" % (access_key or target.access_key, scope)
    query = "&".join(filter(None, [
        query, "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=" + urllib.parse.quote(credential, safe=""),
        "X-Amz-Date=" + time, "X-Amz-Expires=%s" % expires, "X-Amz-SignedHeaders=host"]))
    canonical = "%s\n%s\n%s\nhost:%s\n\nhost\n%s" % (
        method, path, canonical_query(query), target.authority, UNSIGNED)
    key = ("AWS4" + (secret_key or target.secret_key)).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (time, scope, digest(canonical))
    seal = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return query + "&X-Amz-Signature=" + seal


def refused(answer, status, code, what=""):
    expect((answer.status, answer.code) == (status, code), f"{what}: {answer}, not {status} {code}")
