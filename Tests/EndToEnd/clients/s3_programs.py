#!/usr/bin/env python3
"""Programs that keep files in S3 against a gateway: s3cmd with both signatures, restic, duplicity, and
s3fs where the kernel lets file systems be mounted.

Usage: s3_programs.py --programs .build/release, or --endpoint http://127.0.0.1:9000

Starts a devnet of 5 peers unless an endpoint is given. Prints a line per program.
"""

import filecmp
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import s3_clients
from s3_gateway import MIB, expect, random_bytes


def tree(g, name):
    """Makes a folder with files of several sizes, and names that need quoting."""
    folder = g.path(name)
    os.makedirs(os.path.join(folder, "sub"))
    for index, size in enumerate((0, 1, 70_000, 3 * MIB, 12 * MIB)):
        g.path("%s/sub/file %d ü" % (name, index), random_bytes(size, index))
    return folder


def same(first, second):
    """Whether two folders hold the same files with the same bytes."""
    found = []
    for folder in (first, second):
        files = {}
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                files[os.path.relpath(path, folder)] = path
        found.append(files)
    return found[0].keys() == found[1].keys() and all(
        filecmp.cmp(path, found[1][name], shallow=False) for name, path in found[0].items())


def needs(program):
    path = shutil.which(program)
    expect(bool(path), True, "%s is installed (`make deps`)" % program)
    return path


def s3cmd_with(g, name, *options):
    config = g.path(name + ".cfg", (
        "[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s:%d\nhost_bucket = %s:%d\n"
        "use_https = False\n" % (
            g.access_key, g.secret_key, g.host, g.port, g.host, g.port)).encode())
    command = (needs("s3cmd"), "-c", config, "--no-progress") + options
    folder, url = tree(g, name), "s3://%s/%s/" % (g.bucket, name)
    s3_clients.run(g, *command, "--multipart-chunk-size-mb=5", "sync", folder + "/", url)
    listed = s3_clients.run(g, *command, "ls", "-r", url)
    expect(len([line for line in listed.splitlines() if "file" in line]), 5, "files")
    s3_clients.run(g, *command, "cp", url + "sub/file 2 ü", url + "copied")
    s3_clients.run(g, *command, "modify", "--add-header=x-amz-meta-a:b", url + "copied")
    expect("x-amz-meta-a" in s3_clients.run(g, *command, "info", url + "copied"), True, "changed")
    s3_clients.run(g, *command, "del", url + "copied")
    s3_clients.run(g, *command, "sync", url, g.path(name + ".back") + "/")
    expect(same(folder, g.path(name + ".back")), True, "same files")


def s3cmd(g):
    s3cmd_with(g, "s3cmd")


def s3cmd_signing_as_of_old(g):
    s3cmd_with(g, "s3cmd-2", "--signature-v2")


def restic(g):
    folder = tree(g, "restic")
    command = (needs("restic"), "--no-cache", "-r", "s3:%s/%s/restic" % (g.endpoint, g.bucket))
    extra = {"RESTIC_PASSWORD": "demo"}
    for step in (("init",), ("backup", folder), ("check", "--read-data"),
                 ("restore", "latest", "--target", g.path("restic.back")),
                 ("forget", "--keep-last", "1", "--prune")):
        s3_clients.run(g, *command, *step, extra=extra)
    expect(same(folder, g.path("restic.back") + folder), True, "same files")


def duplicity(g):
    folder = tree(g, "duplicity")
    # Its backend for S3 is boto3, which stands beside the Python that runs this.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    extra = {"PYTHONPATH": os.pathsep.join(packages), "AWS_DEFAULT_REGION": "us-east-1"}
    url = "boto3+s3://%s/duplicity" % g.bucket
    command = (needs("duplicity"), "--no-encryption", "--num-retries", "2",
               "--s3-endpoint-url", g.endpoint)
    s3_clients.run(
        g, *command, "--archive-dir", g.path("first"), "--volsize", "5", "full", folder, url,
        extra=extra)
    s3_clients.run(
        g, *command, "--archive-dir", g.path("second"), "restore", url, g.path("duplicity.back"),
        extra=extra)
    expect(same(folder, g.path("duplicity.back")), True, "same files")


def s3fs(g):
    program = needs("s3fs")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "skipped: no /dev/fuse here, so nothing can be mounted"
    secret = g.path("s3fs.secret", ("%s:%s" % (g.access_key, g.secret_key)).encode())
    os.chmod(secret, 0o600)
    folder, mounted = tree(g, "s3fs"), g.path("mounted")
    os.makedirs(mounted)
    s3_clients.run(
        g, program, g.bucket, mounted, "-o",
        "passwd_file=%s,url=%s,use_path_request_style,multipart_size=5" % (secret, g.endpoint))
    try:
        shutil.copytree(folder, os.path.join(mounted, "s3fs"))
        os.rename(os.path.join(mounted, "s3fs", "sub", "file 3 ü"),
                  os.path.join(mounted, "s3fs", "renamed"))
        os.rename(os.path.join(folder, "sub", "file 3 ü"), os.path.join(folder, "renamed"))
        expect(same(folder, os.path.join(mounted, "s3fs")), True, "same files")
    finally:
        subprocess.run(["fusermount", "-u", mounted], check=False, timeout=60)
    keys = g.s3.list_objects_v2(Bucket=g.bucket, Prefix="s3fs/")["Contents"]
    expect("s3fs/renamed" in [entry["Key"] for entry in keys], True, "renamed in the bucket")


def bucket(g):
    g.s3.create_bucket(Bucket=g.bucket)


CASES = [bucket, s3cmd, s3cmd_signing_as_of_old, restic, duplicity, s3fs]


def main():
    if "--programs" not in sys.argv:
        return s3_clients.main(CASES)
    # Not needed where something serves already.
    from harness import Devnet
    at = sys.argv.index("--programs")
    programs = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    with Devnet(programs, peers=5) as network:
        sys.argv += ["--endpoint", network.endpoint]
        return s3_clients.main(CASES)


if __name__ == "__main__":
    sys.exit(main())
