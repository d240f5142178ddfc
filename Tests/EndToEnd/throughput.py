"""S3 throughput of a 16-peer devnet on this machine, with the CPU time that each side spends.

The baseline of the same run is a server on loopback that only swallows or answers bytes, driven by
the same boto3 client: what the client and the kernel cost without any storage behind them.
With --tls the baseline is a network that speaks plain HTTP, and ours one that speaks TLS. With --curl
the clients are curl with presigned URLs, each on one connection: boto3 takes a good part of a small
machine for itself.

    throughput.py --programs .build/release [--sizes 1 16 64] [--clients 1 4] [--tls | --curl] [--json]
"""

import argparse
import concurrent.futures
import hashlib
import http.server
import json
import os
import statistics
import subprocess
import tempfile
import time

from harness import MIB, Devnet, expect, random_bytes, s3_client

PEERS = 16
TLS_PEERS = 6
BYTES_PER_ROUND = 256 * MIB
ROUNDS = 3


class AnsweringHandler(http.server.BaseHTTPRequestHandler):
    """Takes any PUT and answers any GET with as many zero bytes as the key says."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        while left:
            left -= len(self.rfile.read(min(left, MIB)))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        size = int(self.path.split("/")[2].split("-")[0])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        zeros = bytes(MIB)
        while size:
            count = min(size, MIB)
            self.wfile.write(zeros[:count])
            size -= count

    def log_message(self, *_):
        pass


class PatientServer(http.server.ThreadingHTTPServer):
    # Clients that come at once must not be turned away.
    request_queue_size = 128


class AnsweringServer:
    """The baseline in a process of its own, as the gateway is."""

    def __enter__(self):
        server = PatientServer(("127.0.0.1", 0), AnsweringHandler)
        self.endpoint = "http://127.0.0.1:%d" % server.server_address[1]
        self.pid = os.fork()
        if self.pid == 0:
            server.serve_forever()
        server.server_close()
        return self

    def __exit__(self, *_):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def run_clients(count, keys, operation):
    """Seconds that `count` threads take for `operation(key)` over all keys."""
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(operation, keys))
    return time.monotonic() - begin


def measure(endpoint, size, clients, verify, ca_file=None):
    """Median MiB/s of PUT and GET over `ROUNDS`."""
    client = s3_client(endpoint, ca_file=ca_file, max_pool_connections=clients)
    body = random_bytes(size, size)
    digest = hashlib.sha256(body).digest()
    puts, gets = [], []
    for number in range(ROUNDS):
        keys = [f"{size}-{number}-{i}" for i in range(max(BYTES_PER_ROUND // size, clients))]
        total = len(keys) * size / MIB
        puts.append(total / run_clients(
            clients, keys, lambda key: client.put_object(Bucket="speed", Key=key, Body=body)))

        def get(key):
            stream = client.get_object(Bucket="speed", Key=key)["Body"]
            seen = hashlib.sha256() if verify and number == 0 else None
            while piece := stream.read(MIB):
                if seen:
                    seen.update(piece)
            if seen:
                expect(seen.digest() == digest, f"{key} came back different")

        rates = total / run_clients(clients, keys, get)
        if number or not verify:  # the verifying round pays for the client's hash
            gets.append(rates)
        if verify:
            for key in keys:
                client.delete_object(Bucket="speed", Key=key)
    return statistics.median(puts), statistics.median(gets)


def run_curl(count, requests):
    """Seconds that `count` processes of curl take for all requests, pairs of options and a URL."""
    jobs = []
    for first in range(count):
        lines = []
        for options, url in requests[first::count]:
            lines += ["next"] * bool(lines) + ["silent", "show-error", "fail", *options,
                                               f'url = "{url}"']
        jobs.append("\n".join(lines).encode())
    begin = time.monotonic()
    running = [subprocess.Popen(["curl", "--config", "-"], stdin=subprocess.PIPE) for _ in jobs]
    for process, job in zip(running, jobs):
        process.stdin.write(job)
        process.stdin.close()
    expect(all(process.wait() == 0 for process in running), "curl failed")
    return time.monotonic() - begin


def measure_with_curl(endpoint, size, clients, verify):
    """As `measure`; the contents of the first round are read again with boto3."""
    client = s3_client(endpoint)
    body = random_bytes(size, size)
    puts, gets = [], []
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(body)
        file.flush()
        for number in range(ROUNDS):
            keys = [f"{size}-{number}-{i}" for i in range(max(BYTES_PER_ROUND // size, clients))]
            total = len(keys) * size / MIB

            def url(operation, key):
                return client.generate_presigned_url(
                    operation, Params={"Bucket": "speed", "Key": key})

            upload = [f'upload-file = "{file.name}"', 'output = "/dev/null"']
            puts.append(total / run_curl(
                clients, [(upload, url("put_object", key)) for key in keys]))
            gets.append(total / run_curl(
                clients, [(['output = "/dev/null"'], url("get_object", key)) for key in keys]))
            for key in keys if verify else []:
                if number == 0:
                    expect(client.get_object(Bucket="speed", Key=key)["Body"].read() == body,
                           f"{key} came back different")
                client.delete_object(Bucket="speed", Key=key)
    return statistics.median(puts), statistics.median(gets)


def cpu(devnet):
    peers = [peer.cpu_seconds() for peer in devnet.peers]
    return peers[0], sum(peers[1:])


def tell(options, size, clients, ours, base):
    for name, value, reference in zip(("put", "get"), ours, base):
        row = {
            "name": f"s3_{name}_{size}MiB_{clients}clients", "value": round(value, 1),
            "unit": "MiB/s", "baseline": round(reference, 1),
            "ratio": round(value / reference, 3)}
        print(json.dumps(row) if options.json else
              "{name:28} {value:8} {unit}  baseline {baseline:8}  ratio {ratio}".format(
                  **row), flush=True)


def compare_with_tls(options):
    """Both networks run at the same time, so that they have the same machine; one works."""
    with Devnet(options.programs, TLS_PEERS) as plain, Devnet(
            options.programs, TLS_PEERS, extra=["--s3-tls-self-signed"]) as secure:
        for devnet in (plain, secure):
            devnet.s3().create_bucket(Bucket="speed")
        for size in options.sizes:
            for clients in options.clients:
                rates, spent = [], []
                for devnet in (plain, secure):
                    before = cpu(devnet)[0]
                    rates.append(measure(
                        devnet.endpoint, size * MIB, clients, verify=True,
                        ca_file=devnet.ca_file))
                    spent.append(cpu(devnet)[0] - before)
                tell(options, size, clients, rates[1], rates[0])
                moved = ROUNDS * max(BYTES_PER_ROUND // (size * MIB), clients) * size
                print("  CPU of the gateway per MiB put and got: plain {:.2f} ms, TLS {:.2f} ms"
                      .format(*(1000 * s / moved for s in spent)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--sizes", nargs="*", type=int, default=[1, 16, 64], help="MiB")
    parser.add_argument("--clients", nargs="*", type=int, default=[1, 4])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tls", action="store_true", help="what TLS costs")
    parser.add_argument("--curl", action="store_true", help="clients that cost little themselves")
    options = parser.parse_args()
    if options.tls:
        compare_with_tls(options)
        return
    measure_clients = measure_with_curl if options.curl else measure
    with Devnet(options.programs, PEERS) as devnet, AnsweringServer() as baseline:
        devnet.s3().create_bucket(Bucket="speed")
        for size in options.sizes:
            for clients in options.clients:
                base = measure_clients(baseline.endpoint, size * MIB, clients, verify=False)
                before = cpu(devnet)
                ours = measure_clients(devnet.endpoint, size * MIB, clients, verify=True)
                after = cpu(devnet)
                moved = ROUNDS * max(BYTES_PER_ROUND // (size * MIB), clients) * size
                gateway, storage = (1000 * (b - a) / moved for a, b in zip(before, after))
                tell(options, size, clients, ours, base)
                print(f"  CPU per MiB put and got: gateway {gateway:.2f} ms, "
                      f"other peers {storage:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
