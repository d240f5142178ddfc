#!/usr/bin/env python3
"""Programs that keep files in S3 against a gateway: s3cmd with both signatures, restic, duplicity,
rclone, what of them mounts a bucket where the kernel lets that be done, DVC, MLflow's artifacts,
mosaicml-streaming and a registry of container images.

Usage: s3_programs.py --programs .build/release, or --endpoint http://127.0.0.1:9000

Starts a devnet of 5 peers unless an endpoint is given. Prints a line per program.
"""

import os
import shutil
import subprocess
import sys

ABOVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [ABOVE, os.path.join(ABOVE, "clients")]

import s3_clients
import s3_data_programs
from harness import Devnet, wait_until
from s3_folders import files_of, listed, needs, same, tree
from s3_gateway import MIB, expect, random_bytes


def s3cmd_with(g, name, *options):
    config = g.path(name + ".cfg", (
        "[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s:%d\nhost_bucket = %s:%d\n"
        "use_https = False\n" % (
            g.access_key, g.secret_key, g.host, g.port, g.host, g.port)).encode())
    command = (needs("s3cmd"), "-c", config, "--no-progress") + options
    folder, url = tree(g, name), "s3://%s/%s/" % (g.bucket, name)
    s3_clients.run(g, *command, "--multipart-chunk-size-mb=5", "sync", folder + "/", url)
    lines = s3_clients.run(g, *command, "ls", "-r", url).splitlines()
    expect(len([line for line in lines if "file" in line]), 5, "files")
    s3_clients.run(g, *command, "cp", url + "sub/file 2 ü", url + "copied")
    s3_clients.run(g, *command, "modify", "--add-header=x-amz-meta-a:b", url + "copied")
    expect("x-amz-meta-a" in s3_clients.run(g, *command, "info", url + "copied"), True, "changed")
    s3_clients.run(g, *command, "del", url + "copied")
    s3_clients.run(g, *command, "sync", url, g.path(name + ".back") + "/")
    expect(same(folder, g.path(name + ".back")), True, "same files")
    return s3_clients.run(g, *command, "--version").strip()


def s3cmd(g):
    return s3cmd_with(g, "s3cmd")


def s3cmd_signing_as_of_old(g):
    return s3cmd_with(g, "s3cmd-2", "--signature-v2")


def restic(g):
    folder = tree(g, "restic")
    command = (needs("restic"), "--no-cache", "-r", "s3:%s/%s/restic" % (g.endpoint, g.bucket))

    def run(*step):
        return s3_clients.run(g, *command, *step, extra={"RESTIC_PASSWORD": "demo"})

    run("init")
    run("backup", folder)
    run("check", "--read-data")
    stored = sum(entry["Size"] for entry in listed(g, "restic/"))
    os.remove(os.path.join(folder, "sub", "file 4 ü"))
    g.path("restic/sub/later", random_bytes(2 * MIB, "later"))
    run("backup", folder)
    run("restore", "latest", "--target", g.path("restic.back"))
    expect(same(folder, g.path("restic.back") + folder), True, "same files")
    # The first backup is forgotten, and what only it needed goes.
    run("forget", "--keep-last", "1")
    run("prune", "--max-unused", "0")
    left = sum(entry["Size"] for entry in listed(g, "restic/"))
    expect(left < stored - 9 * MIB, True, "pruned from %d to %d bytes" % (stored, left))
    run("check", "--read-data")
    run("restore", "latest", "--target", g.path("restic.pruned"))
    expect(same(folder, g.path("restic.pruned") + folder), True, "same files after pruning")
    return run("version").split(" compiled")[0]


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
    return s3_clients.run(g, needs("duplicity"), "--version").strip()


def s3fs(g):
    program = needs("s3fs")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "skipped: no /dev/fuse here, so nothing can be mounted"
    secret = g.path("s3fs.secret", ("%s:%s" % (g.access_key, g.secret_key)).encode())
    os.chmod(secret, 0o600)
    folder, mounted = tree(g, "s3fs"), g.path("s3fs.mounted")
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
    keys = [entry["Key"] for entry in listed(g, "s3fs/")]
    expect("s3fs/renamed" in keys, True, "renamed in the bucket")
    return s3_clients.run(g, program, "--version").splitlines()[0]


def rclone_with(g):
    """The program with its environment, as a function of its arguments."""
    program, extra = needs("rclone"), s3_clients.rclone_environment(g)
    return program, extra, lambda *step: s3_clients.run(g, program, *step, extra=extra)


def rclone_sync(g):
    _, _, run = rclone_with(g)
    folder, remote = tree(g, "rclone"), "cyx:%s/rclone" % g.bucket
    for index in range(300):
        g.path("rclone/sub/small %d" % index, random_bytes(index, "small %d" % index))
    run("sync", folder, remote)
    run("check", folder, remote)
    # What is gone goes there too, what is renamed is copied at the server, what changed is sent.
    os.remove(os.path.join(folder, "sub", "small 7"))
    os.rename(os.path.join(folder, "sub", "file 3 ü"), os.path.join(folder, "renamed"))
    g.path("rclone/sub/small 8", b"changed")
    run("sync", "--track-renames", "--track-renames-strategy", "hash", folder, remote)
    run("check", "--download", folder, remote)
    expect(len(listed(g, "rclone/")), len(files_of(folder)), "objects")
    run("sync", remote, g.path("rclone.back"))
    expect(same(folder, g.path("rclone.back")), True, "same files")
    return run("version").splitlines()[0]


def rclone_mount(g):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "skipped: no /dev/fuse here, so nothing can be mounted"
    program, extra, run = rclone_with(g)
    folder, mounted = tree(g, "mount"), g.path("rclone.mounted")
    os.makedirs(mounted)
    remote = "cyx:%s/mount" % g.bucket
    process = subprocess.Popen(
        [program, "mount", remote, mounted, "--vfs-cache-mode", "writes", "--vfs-write-back", "0s",
         "--cache-dir", g.path("rclone.cache"), "--dir-cache-time", "1s"],
        env=dict(g.environment(), **extra))
    try:
        wait_until("the mount", lambda: os.path.ismount(mounted), 20)
        shutil.copytree(folder, os.path.join(mounted, "copied"), copy_function=shutil.copyfile)
        # A file that is still being sent would be sent again under its new name.
        wait_until("all files in the bucket", lambda: len(listed(g, "mount/copied/")) == 5, 30)
        os.rename(os.path.join(mounted, "copied", "sub", "file 3 ü"),
                  os.path.join(mounted, "copied", "renamed"))
        os.rename(os.path.join(folder, "sub", "file 3 ü"), os.path.join(folder, "renamed"))
        os.remove(os.path.join(mounted, "copied", "sub", "file 1 ü"))
        os.remove(os.path.join(folder, "sub", "file 1 ü"))
        with open(os.path.join(mounted, "copied", "renamed"), "rb") as file:
            file.seek(MIB + 1)
            part = file.read(100)
        expect(part == random_bytes(3 * MIB, 3)[MIB + 1:MIB + 101], True, "part of a file")
        expect(same(folder, os.path.join(mounted, "copied")), True, "same files")
        expect(len(listed(g, "mount/copied/")), 4, "objects")
    finally:
        subprocess.run(["fusermount3", "-u", mounted], check=False, timeout=60)
        process.wait(timeout=60)
    run("check", "--download", folder, remote + "/copied")
    return run("version").splitlines()[0]


def bucket(g):
    g.s3.create_bucket(Bucket=g.bucket)


CASES = [bucket, s3cmd, s3cmd_signing_as_of_old, restic, duplicity, s3fs, rclone_sync, rclone_mount,
         *s3_data_programs.CASES]


def main():
    if "--programs" not in sys.argv:
        return s3_clients.main(CASES)
    at = sys.argv.index("--programs")
    programs = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    with Devnet(programs, peers=5) as network:
        sys.argv += ["--endpoint", network.endpoint]
        return s3_clients.main(CASES)


if __name__ == "__main__":
    sys.exit(main())
