"""Programs that keep data sets, models and images in S3: DVC, MLflow, mosaicml-streaming and a registry
of container images, whose own client is played here by its HTTP requests.

The Python ones live in an environment of their own, `.venv-clients` (`make test-clients` makes it).
"""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import socket
import subprocess

import s3_clients
from harness import wait_until
from s3_folders import listed, needs, same, tree
from s3_gateway import MIB, expect, random_bytes

ENVIRONMENT = pathlib.Path(__file__).resolve().parents[3] / ".venv-clients"
SCRIPTS = pathlib.Path(__file__).resolve().parent / "datasets"


def of_environment(name):
    path = ENVIRONMENT / "bin" / name
    expect(path.exists(), True, "%s is there (`make test-clients` installs it)" % path)
    return str(path)


def script(g, name, *arguments, **extra):
    return s3_clients.run(
        g, of_environment("python"), str(SCRIPTS / name), *arguments, extra=extra).strip()


def dvc(g):
    program, git = of_environment("dvc"), needs("git")
    origin, clone = g.path("dvc"), g.path("dvc.clone")
    data = tree(g, "dvc/data")
    extra = {
        "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost", "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost", "AWS_DEFAULT_REGION": "us-east-1",
        "DVC_GLOBAL_CONFIG_DIR": g.path("dvc.global"), "DVC_SITE_CACHE_DIR": g.path("dvc.site"),
        # It takes no device for a file of settings.
        "AWS_CONFIG_FILE": g.path("dvc.aws", b"")}

    def run(folder, *command):
        return s3_clients.run(g, "env", "-C", folder, *command, extra=extra)

    run(origin, git, "init", "-q")
    run(origin, program, "init", "-q")
    run(origin, program, "remote", "add", "-d", "store", "s3://%s/dvc" % g.bucket)
    run(origin, program, "remote", "modify", "store", "endpointurl", g.endpoint)
    run(origin, program, "add", "-q", "data")
    run(origin, program, "push", "-q")
    run(origin, git, "add", "-A")
    run(origin, git, "commit", "-qm", "first")
    first = len(listed(g, "dvc/files/"))
    expect(first, 6, "files and their directory")
    # A file is changed; the one before is wanted by no revision that is kept, so that it goes.
    pathlib.Path(data, "sub", "file 3 ü").write_bytes(random_bytes(2 * MIB, "changed"))
    run(origin, program, "add", "-q", "data")
    run(origin, program, "push", "-q")
    run(origin, git, "commit", "-qam", "second")
    expect(len(listed(g, "dvc/files/")), 8, "files of both revisions")
    run(origin, program, "gc", "-q", "-f", "-w", "-c")
    expect(len(listed(g, "dvc/files/")), first, "files after collection")
    expect("in sync" in run(origin, program, "status", "-c"), True, "in sync")
    run(g.folder, git, "clone", "-q", origin, clone)
    run(clone, program, "pull", "-q")
    expect(same(data, os.path.join(clone, "data")), True, "same files")
    return "dvc " + run(origin, program, "--version").strip()


def mlflow(g):
    folder = g.path("mlflow")
    os.makedirs(folder)
    # Its tracking goes to files here, which it wants to be told to do.
    return script(
        g, "track_artifacts.py", "s3://%s/mlflow" % g.bucket, folder,
        MLFLOW_S3_ENDPOINT_URL=g.endpoint, MLFLOW_ALLOW_FILE_STORE="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")


def mosaicml_streaming(g):
    folder = g.path("streaming")
    os.makedirs(folder)
    return script(
        g, "stream_samples.py", "s3://%s/streaming" % g.bucket, folder,
        S3_ENDPOINT_URL=g.endpoint, AWS_DEFAULT_REGION="us-east-1")


class Registry:
    """A registry of container images on a port of its own, with its images in the bucket."""

    def __init__(self, g):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        store = {
            "accesskey": g.access_key, "secretkey": g.secret_key, "region": "us-east-1",
            "regionendpoint": g.endpoint, "bucket": g.bucket, "secure": False, "v4auth": True,
            "chunksize": 5 * MIB, "rootdirectory": "/registry"}
        # JSON is YAML.
        settings = json.dumps({
            "version": 0.1, "http": {"addr": "127.0.0.1:%d" % self.port},
            "storage": {
                "s3": store, "delete": {"enabled": True}, "redirect": {"disable": True}}})
        self.log = open(g.path("registry.log"), "wb")
        self.process = subprocess.Popen(
            [needs("docker-registry"), "serve", g.path("registry.yml", settings.encode())],
            env=g.environment(), stdout=self.log, stderr=self.log)

    def __enter__(self):
        wait_until("the registry", lambda: self.ask("GET", "/v2/", 200), 20)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()

    def ask(self, method, path, status, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(
                method, path.replace("http://127.0.0.1:%d" % self.port, ""), body,
                {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            data = answer.read()
            expect(answer.status, status, "%s %s: %s" % (method, path, data[:300]))
            return data, answer.headers

    def push(self, blob, pieces):
        """Stores a layer as `docker push` does, in pieces; returns its name."""
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        _, headers = self.ask("POST", "/v2/image/blobs/uploads/", 202, b"")
        size = -(-len(blob) // pieces)
        for begin in range(0, len(blob), size):
            piece = blob[begin:begin + size]
            _, headers = self.ask(
                "PATCH", headers["Location"], 202, piece, Content_Type="application/octet-stream",
                Content_Range="%d-%d" % (begin, begin + len(piece) - 1))
        mark = "&" if "?" in headers["Location"] else "?"
        self.ask("PUT", "%s%sdigest=%s" % (headers["Location"], mark, digest), 201, b"")
        return digest


def docker_registry(g):
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    # The last is so long that the registry copies it in parts when it is whole.
    blobs = [random_bytes(size, size) for size in (700, 12 * MIB, 40 * MIB)]
    with Registry(g) as registry:
        digests = [registry.push(blob, pieces) for blob, pieces in zip(blobs, (1, 2, 3))]
        entries = [
            {"mediaType": "application/octet-stream", "size": len(blob), "digest": digest}
            for blob, digest in zip(blobs, digests)]
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind, "config": entries[0],
            "layers": entries[1:]}).encode()
        _, headers = registry.ask(
            "PUT", "/v2/image/manifests/latest", 201, manifest, Content_Type=kind)
    # Another registry, that remembers nothing, serves what the bucket has.
    with Registry(g) as registry:
        data, _ = registry.ask("GET", "/v2/image/manifests/latest", 200, Accept=kind)
        expect(data == manifest, True, "same manifest")
        for blob, digest in zip(blobs, digests):
            data, _ = registry.ask("GET", "/v2/image/blobs/" + digest, 200)
            expect(data == blob, True, "same layer")
        data, _ = registry.ask("GET", "/v2/image/tags/list", 200)
        expect(json.loads(data)["tags"], ["latest"], "tags")
        data, _ = registry.ask("GET", "/v2/_catalog", 200)
        expect(json.loads(data)["repositories"], ["image"], "images")
        registry.ask(
            "DELETE", "/v2/image/manifests/" + headers["Docker-Content-Digest"], 202)
        registry.ask("GET", "/v2/image/manifests/latest", 404, Accept=kind)
    s3_clients.run(
        g, needs("docker-registry"), "garbage-collect", g.path("registry.yml"))
    left = [entry for entry in listed(g, "registry/") if entry["Key"].endswith("/data")]
    expect(left, [], "layers after collection")
    return s3_clients.run(g, needs("docker-registry"), "--version").strip()


CASES = [dvc, mlflow, mosaicml_streaming, docker_registry]
