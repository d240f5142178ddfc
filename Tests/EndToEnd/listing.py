"""Listings of a bucket of many keys in a 16-peer devnet, over S3.

The keys are put one by one, by many clients at once; each object lies in its row. The first listing
of all finds no index at its gateway: it goes through all rows of the bucket at a quorum of custodians.

    listing.py --programs .build/release [--keys 20000] [--json]
"""

import argparse
import concurrent.futures
import http.client
import json
import statistics
import subprocess
import time
import urllib.parse

from harness import Devnet, expect, s3_client
from throughput import PEERS

CLIENTS = 64
GROUP = 100
ROUNDS = 30


def key(number):
    return f"photos-{number // GROUP:06}/{number % GROUP:03}.jpg"


def put_all(endpoint, count):
    address = urllib.parse.urlsplit(endpoint).netloc
    signer = s3_client(endpoint)

    def work(client):
        connection = http.client.HTTPConnection(address)
        for number in range(client, count, CLIENTS):
            url = signer.generate_presigned_url(
                "put_object", Params={"Bucket": "listed", "Key": key(number)})
            connection.request("PUT", url[len("http://" + address):], body=b"x" * 64)
            answer = connection.getresponse()
            text = answer.read()
            expect(answer.status == 200, f"{url}: {answer.status} {text[:300]}")
        connection.close()

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))
    return time.monotonic() - begin


def timed(operation):
    begin = time.monotonic()
    result = operation()
    return time.monotonic() - begin, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []

    def row(name, value, unit):
        rows.append({"name": f"listing_{name}", "value": round(value, 2), "unit": unit})
        print(json.dumps(rows[-1]) if options.json else
              f"{name:40} {rows[-1]['value']:12} {unit}", flush=True)

    with Devnet(options.programs, PEERS) as devnet:
        s3 = devnet.s3()
        s3.create_bucket(Bucket="listed")
        row("keys", options.keys, "keys")
        row("put", options.keys / put_all(devnet.endpoint, options.keys), "PUT/s")

        def first():
            return s3.list_objects_v2(Bucket="listed")

        took, page = timed(first)
        expect(len(page["Contents"]) == min(1000, options.keys), "the first page is full")
        row("first_page_without_index", 1000 * took, "ms")
        row("first_page", 1000 * statistics.median(timed(first)[0] for _ in range(ROUNDS)), "ms")
        after_put = []
        for number in range(ROUNDS):
            s3.put_object(Bucket="listed", Key=f"a-{number:03}", Body=b"new")
            took, page = timed(first)
            expect(page["Contents"][number]["Key"] == f"a-{number:03}", "what was put is listed")
            after_put.append(took)
        row("first_page_after_a_put", 1000 * statistics.median(after_put), "ms")

        def all_pages():
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket="listed")
            return sum(len(page["Contents"]) for page in pages)

        took, count = timed(all_pages)
        expect(count == options.keys + ROUNDS, f"all keys are listed once: {count}")
        row("all_pages", count / took, "keys/s")
        took, page = timed(lambda: s3.list_objects_v2(Bucket="listed", Delimiter="/"))
        groups = (options.keys + GROUP - 1) // GROUP
        expect(len(page["CommonPrefixes"]) == min(1000 - ROUNDS, groups), "groups are listed")
        row(f"page_of_{len(page['CommonPrefixes'])}_groups", 1000 * took, "ms")
        found = subprocess.run(
            ["find", str(devnet.data), "-name", "listings", "-type", "d"], check=True,
            capture_output=True, text=True).stdout.split()
        size = sum(int(subprocess.run(
            ["du", "-sb", path], check=True, capture_output=True, text=True).stdout.split()[0])
            for path in found)
        row("index", size / options.keys, "bytes/key")


if __name__ == "__main__":
    main()
