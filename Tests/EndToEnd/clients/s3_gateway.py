"""The gateway under test, and what the S3 client cases share."""

import contextlib
import hashlib
import http.client
import os
import random
import socket
import ssl
import types
import urllib.parse
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from s3_record import RECORD

MIB = 1 << 20
CASES = []


def case(function):
    CASES.append(function)
    return function


class Gateway:
    """The endpoint under test, a client for it and a bucket of this run."""

    def __init__(self, endpoint, access_key, secret_key, folder, ca_file=None):
        self.endpoint = endpoint.rstrip("/")
        self.ca_file = ca_file
        self.trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self.access_key = access_key
        self.secret_key = secret_key
        self.other_access_key = self.other_secret_key = None
        self.lifecycle_day_s = None
        self.folder = folder
        parts = urllib.parse.urlsplit(self.endpoint)
        self.host, self.port = parts.hostname, parts.port or 80
        self.bucket = "clients-%08x" % random.getrandbits(32)
        self.s3 = self.client()

    def client(self, secret_key=None, access_key=None, **options):
        return RECORD.watched(boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="auto",
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key, verify=self.ca_file,
            config=Config(retries={"max_attempts": 1}, **options)))

    def environment(self):
        # rclone takes no certificates from AWS_CA_BUNDLE: its cases name them.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return dict(
            inherited, AWS_ENDPOINT_URL=self.endpoint, AWS_ACCESS_KEY_ID=self.access_key,
            AWS_SECRET_ACCESS_KEY=self.secret_key, AWS_REGION="auto", AWS_MAX_ATTEMPTS="1",
            AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")

    def connection(self):
        """One of http.client, not yet connected."""
        if self.trust:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=30, context=self.trust)
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def dial(self, timeout_s):
        """A connected socket, which speaks TLS if the gateway does."""
        plain = socket.create_connection((self.host, self.port), timeout=timeout_s)
        return self.trust.wrap_socket(plain, server_hostname=self.host) if self.trust else plain

    def end_sending(self, connection):
        """Ends this half of a connection of `dial`, which can still be read from."""
        if not self.trust:
            connection.shutdown(socket.SHUT_WR)
            return
        # `unwrap` sends the notice of the end at once, then would wait for the other end's.
        timeout_s = connection.gettimeout()
        connection.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.unwrap()
        connection.settimeout(timeout_s)

    def read_all(self, connection):
        """What comes until the other end says that it is done."""
        answer = b""
        # Python takes the other end's notice for an error once this end gave its own.
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := connection.recv(1 << 16):
                answer += piece
        return answer

    def open(self, request):
        return urllib.request.urlopen(request, timeout=30, context=self.trust)

    def path(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def signed(self, method, path, body=b"", headers=None, date=None):
        """A header-signed request through http.client; returns (status, body text)."""
        request = AWSRequest(method, self.endpoint + path, headers=headers or {}, data=body)
        if "x-amz-content-sha256" not in request.headers:
            request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        signer = SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", "auto")
        if date is None:
            signer.add_auth(request)
        else:
            request.context["timestamp"] = date
            request.headers["X-Amz-Date"] = date
            signer._modify_request_before_signing = lambda request: None
            canonical = signer.canonical_request(request)
            text = signer.string_to_sign(request, canonical)
            signer._inject_signature_to_request(request, signer.signature(text, request))
        connection = self.connection()
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=dict(request.headers.items()))
            response = connection.getresponse()
            return response.status, response.read().decode()


def random_bytes(count, seed=1):
    return random.Random(seed).randbytes(count)


def expect(found, wanted, what="value"):
    if found != wanted:
        raise AssertionError("%s is %r, not %r" % (what, found, wanted))


@contextlib.contextmanager
def refused(code, status=None):
    """The block must fail with this S3 code; yields what then has the error."""
    failure = types.SimpleNamespace(error=None)
    try:
        yield failure
    except ClientError as error:
        failure.error = error
        expect(error.response["Error"]["Code"], code, "code")
        if status is not None:
            expect(error.response["ResponseMetadata"]["HTTPStatusCode"], status, "status")
        return
    raise AssertionError("was not refused with %s" % code)


def expect_code(answer, status, code):
    expect(answer[0], status, "status of " + answer[1][:400])
    if "<Code>%s</Code>" % code not in answer[1]:
        raise AssertionError("no %s in %s" % (code, answer[1][:400]))


def is_absent(gateway, key, bucket=None):
    with refused("404"):
        gateway.s3.head_object(Bucket=bucket or gateway.bucket, Key=key)
    return True
