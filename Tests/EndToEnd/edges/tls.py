"""S3 over TLS: unmodified clients, certificates that change, clients that speak the wrong protocol."""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from harness import MIB, Devnet, expect, random_bytes, s3_client, wait_until

PEERS = 5
LIFECYCLE_DAY_S = 4
CLIENTS = pathlib.Path(__file__).parents[1] / "clients" / "s3_clients.py"


def address(devnet):
    host, port = devnet.gateway.read("s3").rsplit(":", 1)
    return host, int(port)


def drive_clients(devnet):
    done = subprocess.run(
        [sys.executable, CLIENTS, "--endpoint", devnet.endpoint, "--ca-file", devnet.ca_file,
         "--lifecycle-day", str(LIFECYCLE_DAY_S)], capture_output=True, text=True)
    print("  " + done.stdout.replace("\n", "\n  ").rstrip(), flush=True)
    expect(done.returncode == 0, done.stderr[-2000:] or "see above")
    return done.stdout.splitlines()[-1]


def large_object(devnet):
    client = devnet.s3()
    client.create_bucket(Bucket="large")
    body = random_bytes(100 * MIB, 3)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(
            lambda key: client.put_object(Bucket="large", Key=key, Body=body), "ab"))
        # Read slowly in pieces, so that the gateway has to wait for its client.
        stream = client.get_object(Bucket="large", Key="a")["Body"]
        digest = hashlib.sha256(stream.read(MIB))
        time.sleep(1)
        while piece := stream.read(MIB):
            digest.update(piece)
    expect(digest.digest() == hashlib.sha256(body).digest(), "the object came back different")
    return "100 MiB twice up, once down"


def only_new_protocols(devnet):
    def speaks(version):
        context = ssl.create_default_context(cafile=devnet.ca_file)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            with socket.create_connection(address(devnet), timeout=10) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as connection:
                    return connection.version(), connection.selected_alpn_protocol()
        except ssl.SSLError:
            return None

    expect(speaks(ssl.TLSVersion.TLSv1_3) == ("TLSv1.3", "http/1.1"), "no TLS 1.3")
    expect(speaks(ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "http/1.1"), "no TLS 1.2")
    expect(speaks(ssl.TLSVersion.TLSv1_1) is None, "TLS 1.1 is spoken")
    mode = (devnet.gateway.folder / "s3-certificate.key").stat().st_mode & 0o777
    expect(mode == 0o600, f"the key's mode is {mode:o}")


def plain_http_to_tls(devnet):
    with socket.create_connection(address(devnet), timeout=10) as connection:
        connection.sendall(b"GET /bucket HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.makefile("rb").read().decode()
    expect(answer.startswith("HTTP/1.1 400 "), answer)
    expect("this port speaks TLS; use https://" in answer, answer)


def tls_to_plain_http(programs):
    with Devnet(programs, 1, extra=["--allocated", "2GiB"]) as devnet:
        host, port = address(devnet)
        with socket.create_connection((host, port), timeout=10) as connection:
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = ssl.create_default_context().wrap_bio(into, out, server_hostname=host)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            connection.sendall(out.read())
            answer = connection.makefile("rb").read().decode()
        expect(answer.startswith("HTTP/1.1 400 "), answer)
        expect("this port speaks plain HTTP; use http:// or set a certificate" in answer, answer)


def shown(devnet):
    """The certificate that a new connection is shown, PEM."""
    return ssl.get_server_certificate(address(devnet))


def make_certificate(folder, name):
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", chain,
         "-keyout", key], check=True, capture_output=True)
    return chain.read_text(), key.read_text()


def reloads(programs):
    """Files that are replaced while requests run: none fails, and new connections see the change."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        chain, key = folder / "chain.pem", folder / "key.pem"

        def install(certificate):
            for path, text in zip((chain, key), certificate):
                path.with_suffix(".new").write_text(text)
                os.replace(path.with_suffix(".new"), path)

        first, second, third = (make_certificate(folder, name) for name in ("a", "b", "c"))
        install(first)
        trusted = folder / "trusted.pem"
        trusted.write_text(first[0] + second[0] + third[0])
        extra = ["--allocated", "2GiB", "--s3-tls-certificate", str(chain), "--s3-tls-key",
                 str(key)]
        with Devnet(programs, 1, extra=extra) as devnet:
            client = s3_client(
                devnet.endpoint, ca_file=str(trusted), retries={"max_attempts": 0})
            client.create_bucket(Bucket="reload")
            body = random_bytes(24 * MIB, 5)
            client.put_object(Bucket="reload", Key="k", Body=body)
            # One that is under way all the time.
            stream = client.get_object(Bucket="reload", Key="k")["Body"]
            begun = stream.read(MIB)
            expect(shown(devnet) == first[0], "another certificate than the first")
            done = []

            def work(number):
                own = s3_client(
                    devnet.endpoint, ca_file=str(trusted), retries={"max_attempts": 0})
                while not done:
                    own.put_object(Bucket="reload", Key=f"w{number}", Body=body[:MIB])
                    got = own.get_object(Bucket="reload", Key=f"w{number}")["Body"].read()
                    expect(got == body[:MIB], "bytes differ")
                return True

            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                workers = [pool.submit(work, number) for number in range(3)]
                try:
                    install(second)
                    wait_until("the second", lambda: shown(devnet) == second[0], 20)
                    chain.write_text("nonsense")
                    wait_until("the complaint", lambda: (
                        "the certificate before stays in use" in devnet.gateway.log_tail(500)), 20)
                    expect(shown(devnet) == second[0], "a broken file took the certificate away")
                    install(third)
                    os.kill(devnet.gateway.pid, signal.SIGHUP)
                    wait_until("the third", lambda: shown(devnet) == third[0], 2)
                finally:
                    done.append(True)
                expect(all(worker.result() for worker in workers), "requests failed")
            expect(begun + stream.read() == body, "the response from before broke")
    return "3 certificates and a broken one, 3 clients at work"


def command_line(devnet, programs):
    def run(*words, trusted):
        environment = dict(os.environ, AWS_ENDPOINT_URL=devnet.endpoint, AWS_ACCESS_KEY_ID="demo",
                           AWS_SECRET_ACCESS_KEY="demo-secret")
        environment.pop("AWS_CA_BUNDLE", None)
        if trusted:
            environment["AWS_CA_BUNDLE"] = devnet.ca_file
        return subprocess.run(
            [pathlib.Path(programs) / "cyxcloud", *words], env=environment, capture_output=True,
            text=True)

    done = run("ls", trusted=True)
    expect(done.returncode == 0, done.stderr)
    done = run("ls", trusted=False)
    expect(done.returncode == 1 and "AWS_CA_BUNDLE" in done.stderr, done.stderr)


def run(cases, programs):
    extra = ["--s3-tls-self-signed", "--s3-lifecycle-day", "%ds" % LIFECYCLE_DAY_S]
    with Devnet(programs, PEERS, accounts=["other:other:other-secret"], extra=extra) as devnet:
        cases.run("TLS 1.2 and 1.3 with ALPN, nothing older", lambda: only_new_protocols(devnet))
        cases.run("plain HTTP to a TLS port is told off", lambda: plain_http_to_tls(devnet))
        cases.run("the command line trusts what it is told to",
                  lambda: command_line(devnet, programs))
        cases.run("large objects over TLS", lambda: large_object(devnet))
        cases.run("S3 clients over TLS, unmodified", lambda: drive_clients(devnet))
    cases.run("TLS to a plain port is told off", lambda: tls_to_plain_http(programs))
    cases.run("certificates change under way", lambda: reloads(programs))
