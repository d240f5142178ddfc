"""Durable PUTs per second of small objects into a 16-peer devnet, and how they scale with clients.

Over bare HTTP/1.1 with URLs signed in advance: beside many S3 libraries on one machine the gateway
would hardly be seen. Two baselines of the same run: a server that only answers, by the same client,
and as many threads as there are clients that write and sync a file of their own.

    small_objects.py --programs .build/release [--kib 4] [--clients 1 4 16 64] [--json]
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
import urllib.parse

from harness import Devnet, expect, random_bytes, s3_client
from throughput import PEERS, AnsweringServer, cpu

SECONDS = 4.0
# As many as a client gets through in that time at most.
PUTS_MAX = 6000


def until(deadline, items, operation):
    """Seconds that each `operation(item)` took, until the time or the items are over."""
    times = []
    for item in items:
        begin = time.monotonic()
        if begin > deadline:
            break
        operation(item)
        times.append(time.monotonic() - begin)
    return times


def run_together(count, work, seconds):
    """Runs `work(number, deadline)` in `count` threads; rate, p50 and p99 in ms of what they did."""
    start = threading.Barrier(count + 1)
    deadline = [0.0]

    def run(number):
        start.wait()
        return work(number, deadline[0])

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, number) for number in range(count)]
        begin = time.monotonic()
        deadline[0] = begin + seconds
        start.wait()
        times = sorted(took for future in futures for took in future.result())
        took = time.monotonic() - begin
    return (
        len(times), len(times) / took, 1000 * statistics.median(times),
        1000 * times[min(len(times) - 1, len(times) * 99 // 100)])


def put_for_a_while(endpoint, body, clients, prefix):
    signer = s3_client(endpoint)
    address = urllib.parse.urlsplit(endpoint).netloc
    urls = [[signer.generate_presigned_url(
        "put_object", Params={"Bucket": "speed", "Key": f"{prefix}-{clients}-{client}-{i}"})
        for i in range(max(PUTS_MAX // clients, 50))] for client in range(clients)]

    def work(number, deadline):
        connection = http.client.HTTPConnection(address)

        def put(url):
            connection.request("PUT", url[len("http://" + address):], body=body)
            answer = connection.getresponse()
            text = answer.read()
            expect(answer.status == 200, f"{url}: {answer.status} {text[:300]}")

        times = until(deadline, urls[number], put)
        connection.close()
        return times

    return run_together(clients, work, SECONDS)


def sync_for_a_while(body, clients):
    with tempfile.TemporaryDirectory(prefix="cyx-sync-") as folder:
        def work(number, deadline):
            descriptor = os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY)

            def write(_):
                os.write(descriptor, body)
                os.fdatasync(descriptor)

            times = until(deadline, range(PUTS_MAX), write)
            os.close(descriptor)
            return times

        return run_together(clients, work, 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--kib", type=int, default=4)
    parser.add_argument("--clients", nargs="*", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    body = random_bytes(options.kib << 10, options.kib)
    alone = None
    with Devnet(options.programs, PEERS) as devnet, AnsweringServer() as baseline:
        devnet.s3().create_bucket(Bucket="speed")
        for clients in options.clients:
            _, answers, _, _ = put_for_a_while(baseline.endpoint, body, clients, "base")
            _, syncs, _, _ = sync_for_a_while(body, clients)
            before = cpu(devnet)
            count, rate, median, worst = put_for_a_while(devnet.endpoint, body, clients, "small")
            gateway, storage = (1000 * (b - a) / count for a, b in zip(before, cpu(devnet)))
            alone = alone or rate
            row = {
                "name": f"s3_put_{options.kib}KiB_{clients}clients", "value": round(rate),
                "unit": "PUT/s", "answering": round(answers), "syncing": round(syncs),
                "ratio": round(rate / syncs, 3), "p50_ms": round(median, 1),
                "p99_ms": round(worst, 1), "against_one": round(rate / alone, 2),
                "gateway_cpu_ms": round(gateway, 2), "peers_cpu_ms": round(storage, 2)}
            print(json.dumps(row) if options.json else
                  "{name:24} {value:6} {unit}  p50 {p50_ms:6} ms  p99 {p99_ms:6} ms  "
                  "{against_one} x one client  baselines: answering {answering}, "
                  "syncing {syncing} (ratio {ratio})\n"
                  "  CPU per PUT: gateway {gateway_cpu_ms} ms, other peers {peers_cpu_ms} ms".format(
                      **row), flush=True)


if __name__ == "__main__":
    main()
