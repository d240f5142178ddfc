#!/usr/bin/env python3
"""Real S3 clients against a gateway: boto3, aws-cli and rclone, and the answers to bad requests.

Usage: s3_clients.py --endpoint http://127.0.0.1:9000 --access-key demo --secret-key demo-secret

Prints a line per case and, last, how many passed and failed; exits with 1 if any failed. Needs
boto3, and `aws` and `rclone` beside this Python or on the PATH.
"""

import argparse
import filecmp
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback

import boto3

import s3_object_cases  # noqa: F401 - registers its cases, in this order
import s3_request_cases  # noqa: F401
import s3_access_cases  # noqa: F401
import s3_document_cases  # noqa: F401
import s3_semantics_cases  # noqa: F401
import s3_key_cases  # noqa: F401
import s3_rest_cases  # noqa: F401
import s3_link_cases  # noqa: F401
import s3_version_cases  # noqa: F401
import s3_scope_cases  # noqa: F401
from answers import bucket_answers, object_answers  # noqa: F401
from s3_gateway import CASES, Gateway, MIB, case, expect, random_bytes
from s3_record import RECORD


def tool(name):
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return beside if os.path.exists(beside) else shutil.which(name)


def run(g, *command, extra=None):
    environment = dict(g.environment(), **(extra or {}))
    if g.ca_file:
        # rclone refuses to start with the one, the others know nothing of the other.
        is_rclone = os.path.basename(command[0]) == "rclone"
        environment["RCLONE_CA_CERT" if is_rclone else "AWS_CA_BUNDLE"] = g.ca_file
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d: %s" % (
            " ".join(command[:3]), done.returncode, (done.stderr or done.stdout)[-600:]))
    return done.stdout


def rclone_environment(g):
    """Its settings of a remote called `cyx`."""
    return {
        "RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_CYX_TYPE": "s3",
        "RCLONE_CONFIG_CYX_PROVIDER": "Other",
        "RCLONE_CONFIG_CYX_ENDPOINT": g.endpoint,
        "RCLONE_CONFIG_CYX_ACCESS_KEY_ID": g.access_key,
        "RCLONE_CONFIG_CYX_SECRET_ACCESS_KEY": g.secret_key,
        "RCLONE_S3_UPLOAD_CUTOFF": "8Mi", "RCLONE_S3_CHUNK_SIZE": "5Mi"}


@case
def aws_cli(g):
    aws = tool("aws")
    expect(bool(aws), True, "aws is installed (`make deps`)")
    path = g.path("cli", random_bytes(20 * MIB, 9))
    url = "s3://%s/cli/file" % g.bucket
    run(g, aws, "s3", "cp", path, url)
    run(g, aws, "s3", "cp", url, g.path("cli.back"))
    expect(filecmp.cmp(path, g.path("cli.back"), shallow=False), True, "same bytes")
    expect("file" in run(g, aws, "s3", "ls", "s3://%s/cli/" % g.bucket), True, "listed")
    run(g, aws, "s3", "mv", url, url + "2")
    run(g, aws, "s3", "rm", "--recursive", "s3://%s/cli/" % g.bucket)
    return run(g, aws, "--version").split()[0]


@case
def rclone(g):
    rclone = tool("rclone")
    expect(bool(rclone), True, "rclone is installed (`make deps`)")
    folder = g.path("tree")
    os.makedirs(os.path.join(folder, "sub"))
    for index, size in enumerate((0, 1, 70_000, 3 * MIB, 12 * MIB)):
        g.path("tree/sub/file %d ü" % index, random_bytes(size, index))
    extra = rclone_environment(g)
    remote = "cyx:%s/rclone" % g.bucket
    run(g, rclone, "copy", folder, remote, "--retries", "1", extra=extra)
    run(g, rclone, "check", folder, remote, extra=extra)
    run(g, rclone, "check", "--download", folder, remote, extra=extra)
    listed = run(g, rclone, "lsf", "-R", remote, extra=extra)
    expect(len([line for line in listed.splitlines() if "file" in line]), 5, "files")
    run(g, rclone, "copyto", remote + "/sub/file 2 ü", remote + "/copied", extra=extra)
    run(g, rclone, "purge", remote, extra=extra)
    return run(g, rclone, "version").splitlines()[0]


@case
def everything_is_removed(g):
    pages = g.s3.get_paginator("list_objects_v2").paginate(Bucket=g.bucket)
    keys = [{"Key": entry["Key"]} for page in pages for entry in page.get("Contents", [])]
    answer = g.s3.delete_objects(Bucket=g.bucket, Delete={"Objects": keys, "Quiet": True})
    expect("Errors" in answer, False, "errors")
    g.s3.delete_bucket(Bucket=g.bucket)


def main(cases=CASES):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", default="http://127.0.0.1:9000")
    parser.add_argument("--access-key", default="demo")
    parser.add_argument("--secret-key", default="demo-secret")
    parser.add_argument("--other-access-key", default="other", help="of another account")
    parser.add_argument("--other-secret-key", default="other-secret")
    parser.add_argument("--ca-file", help="certificates to trust, with https://")
    parser.add_argument(
        "--lifecycle-day", type=float, help="how many seconds the gateway takes a day for")
    parser.add_argument("--record", help="file for what was asked and how it was answered")
    parser.add_argument("--log", help="the gateway's log, for what programs asked of it")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks")
    parser.add_argument("cases", nargs="*", help="names of cases; all without any")
    arguments = parser.parse_args()
    chosen = [f for f in cases if not arguments.cases or f.__name__ in arguments.cases]
    if arguments.cases and cases[0] not in chosen:
        chosen.insert(0, cases[0])
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(
            arguments.endpoint, arguments.access_key, arguments.secret_key, folder,
            ca_file=arguments.ca_file)
        gateway.other_access_key = arguments.other_access_key
        gateway.other_secret_key = arguments.other_secret_key
        gateway.lifecycle_day_s = arguments.lifecycle_day
        try:
            socket.create_connection((gateway.host, gateway.port), timeout=10).close()
        except OSError as error:
            print("nothing serves %s: %s" % (gateway.endpoint, error))
            return 1
        if arguments.log:
            RECORD.follow(arguments.log)
        for function in chosen:
            RECORD.case, note, passed = function.__name__, None, False
            try:
                note = function(gateway)
                passed = True
                print("passed  %s%s" % (function.__name__, " (%s)" % note if note else ""))
            except Exception as error:
                failed += 1
                print("FAILED  %s: %s: %s" % (
                    function.__name__, type(error).__name__, str(error)[:500]))
                if arguments.verbose:
                    traceback.print_exc()
            RECORD.ended(passed, note)
            sys.stdout.flush()
    if arguments.record:
        RECORD.write(arguments.record)
    print("boto3 %s: %d passed, %d failed" % (boto3.__version__, len(chosen) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
