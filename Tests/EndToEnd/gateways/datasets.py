"""REST data sets at two gateways of the same two accounts: uploads, CIDs, lists, access, searches."""

import contextlib
import json
import pathlib
import shutil
import sys
import time

from growth import Network
from harness import MIB, expect, random_bytes, wait_until
from support.fronts import client_of, wait_until_whole

from .samples import Samples

sys.path.append(str(pathlib.Path(__file__).parent.parent / "clients"))
from s3_gateway import Gateway  # noqa: E402 - beside the cases that drive one gateway
from s3_rest_cases import ROOT, api  # noqa: E402

PEERS = 4
BUCKET = "sets"
BOUNDARY = "b0undary"
# How long a gateway of the devnet's profile may go by a bucket's settings as they were.
NOTICE_S = 2.5


def form(file, fields=(), later=(), filename="data.bin"):
    """A body of multipart/form-data: fields, the file, further fields."""
    def field(name, value):
        return (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
                f"{value}\r\n").encode()

    head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n').encode()
    return b"".join([
        *(field(*pair) for pair in fields), head, file, b"\r\n",
        *(field(*pair) for pair in later), f"--{BOUNDARY}--\r\n".encode()])


def post(gateway, token, file, fields=(), later=(), filename="data.bin"):
    """Uploads a data set; the status and the JSON of the answer."""
    return api(
        gateway, "POST", "/datasets", form(file, fields, later, filename), token=token,
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})[:2]


def fetch(gateway, path, token=None, method="GET", headers=None):
    """The status, the bytes and the headers of an answer."""
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = "Bearer " + token
    with contextlib.closing(gateway.connection()) as connection:
        connection.request(method, ROOT + path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def refused(answer, status, code):
    """Checks that the answer is an error with that status and code."""
    found = answer[1] if isinstance(answer[1], dict) else json.loads(answer[1] or b"{}")
    expect((answer[0], found.get("code")) == (status, code), f"{answer[0]} {found}")
    return found


class Datasets:
    def __init__(self, programs):
        self.network = Network(programs)

    def start(self):
        founder = self.network.add(
            "--allocated", "4GiB", "--account", "other:other:other-secret")
        wait_until("S3", lambda: client_of(founder).list_buckets(), 20)
        for index in range(1, PEERS):
            roles = []
            if index == 1:
                folder = self.network.data / str(index)
                folder.mkdir()
                shutil.copy(founder.folder / "accounts", folder / "accounts")
                roles = ["--roles", "storage,gateway", "--s3-listen", "127.0.0.1:0"]
            self.network.add("--allocated", "4GiB", *roles)
        wait_until_whole("the views", self.network, 120)
        self.first, self.second = (
            Gateway("http://" + peer.read("s3"), "demo", "demo-secret", str(self.network.data))
            for peer in self.network.peers[:2])
        self.token = api(self.first, "POST", "/tokens")[1]["token"]
        other = api(self.first, "POST", "/tokens", key=("other", "other-secret"))
        expect(other[0] == 201, other[1])
        self.other = other[1]["token"]
        self.other_id = other[1]["account"]
        self.first.s3.create_bucket(Bucket=BUCKET)

    # Uploads and reads

    def upload(self):
        """What one gateway takes, the other gives at once, whole and in ranges."""
        for size in (0, 100, 70_000, 5 * MIB + 17):
            file = random_bytes(size, f"set {size}")
            status, made = post(
                self.first, self.token, file,
                [("name", f"set {size}"), ("price", "5")], [("license", "CC-BY-4.0")])
            expect(status == 201, f"{status} {made}")
            expect(made["size"] == size, made)
            expect(made["chunks"] == (size + MIB - 1) // MIB, made)
            if size > 4096:
                expect(made["redundancy"].startswith("rs("), made)
                k, m = (int(n) for n in made["redundancy"][3:-1].split(","))
                expect(made["replication_factor"] == m + 1, made)
                expect(abs(made["expansion"] - (k + m) / k) < 1e-9, made)
            path = "/datasets/" + made["cid"]
            status, got, headers = fetch(self.second, path, self.token)
            expect(status == 200 and got == file, f"{status}, {len(got)} bytes of {size}")
            expect(headers["x-cyx-cid"] == made["cid"], headers)
            expect("sandbox" in headers["content-security-policy"], headers)
            expect("attachment" in headers["content-disposition"], headers)
            status, got, headers = fetch(self.second, path, self.token, "HEAD")
            expect((status, got, headers["content-length"]) == (200, b"", str(size)), headers)
            again = fetch(
                self.first, path, self.token, headers={"If-None-Match": headers["etag"]})
            expect(again[:2] == (304, b""), again)
            status, said, _ = api(self.second, "GET", path + "/metadata", token=self.token)
            expect(status == 200, said)
            wanted = dict(
                name=f"set {size}", size=size, format="bin", price=5, license="CC-BY-4.0",
                schema={"features": [], "label": None})
            expect({key: said[key] for key in wanted} == wanted, said)
        self.cid, self.file = made["cid"], file
        part = fetch(self.first, path, self.token, headers={"Range": f"bytes=7-{2 * MIB}"})
        expect(part[0] == 206 and part[1] == file[7:2 * MIB + 1], part[0])
        refused(fetch(self.first, path, self.token, headers={
            "Range": f"bytes={size}-"}), 416, "InvalidRange")

    def same(self):
        """The same content is the same data set: nothing is kept twice, and it is said anew."""
        objects = self.objects()
        status, made = post(self.second, self.token, self.file, later=[("name", "again")])
        expect((status, made["cid"]) == (201, self.cid), made)
        expect(self.objects() == objects, self.objects())
        said = api(self.first, "GET", f"/datasets/{self.cid}/metadata", token=self.token)[1]
        expect((said["name"], said["license"]) == ("again", "CC-BY-4.0"), said)

    def objects(self):
        """The keys in the bucket of data sets."""
        s3 = self.first.s3
        names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        self.own, = (name for name in names if name.startswith("cyx-datasets-"))
        return [entry["Key"] for entry in s3.list_objects_v2(Bucket=self.own)["Contents"]]

    def broken(self):
        """What is wrong is said, and nothing is stored."""
        before = self.objects()
        for fields, later, code in (
                ([("nane", "x")], [], "InvalidArgument"), ([], [("nane", "x")], "InvalidArgument"),
                ([("price", "-1")], [], "InvalidArgument"), ([("price", "x")], [], "InvalidArgument"),
                ([("schema", '{"x":1}')], [], "InvalidArgument"), ([("format", "A B")], [], "InvalidArgument"),
                ([("name", "a"), ("name", "b")], [], "InvalidArgument"),
                ([("name", "")], [], "InvalidArgument"), ([], [("bucket", BUCKET)], "InvalidArgument"),
                ([("bucket", BUCKET)], [], "InvalidArgument"), ([("key", "k")], [], "InvalidArgument"),
                ([("bucket", self.own), ("key", "k")], [], "InvalidArgument"),
                ([("bucket", "absent-bucket"), ("key", "k")], [], "NoSuchBucket"),
                ([("size", "99")], [], "IncompleteBody"),
                ([("access", '{"allowed_readers":["me"]}')], [], "InvalidArgument"),
                ([("access", '{"public":true}')], [], "InvalidArgument")):
            answer = post(self.first, self.token, b"x" * 50_000, fields, later)
            expect((answer[1] or {}).get("code") == code, f"{fields} {later}: {answer}")
        cut = form(b"x" * 50_000)[:-20]
        answer = api(self.first, "POST", "/datasets", cut, token=self.token, headers={
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
        refused(answer, 400, "IncompleteBody")
        expect(self.objects() == before, self.objects())
        refused(api(self.first, "POST", "/datasets", b"x", token=self.token),
                415, "UnsupportedMediaType")
        refused(fetch(self.first, "/datasets/x", self.token), 400, "InvalidArgument")
        absent = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
        refused(fetch(self.first, "/datasets/" + absent, self.token), 404, "NoSuchDataset")
        # Nobody takes the bucket of another account's data sets.
        try:
            self.first.s3.create_bucket(Bucket="cyx-datasets-" + self.other_id[:40])
            expect(False, "a reserved bucket was made")
        except self.first.s3.exceptions.ClientError as error:
            expect(error.response["Error"]["Code"] == "InvalidBucketName", error)

    def register(self):
        """An object that is there already becomes a data set, and is one until it is replaced."""
        s3 = self.first.s3
        s3.put_object(Bucket=BUCKET, Key="in/a.csv", Body=b"a,b\n1,2\n")
        named = {"bucket": BUCKET, "key": "in/a.csv", "license": "MIT"}
        kind = {"Content-Type": "application/json"}
        status, made, _ = api(self.first, "POST", "/datasets", named, self.token, headers=kind)
        expect(status == 201 and made["size"] == 8, made)
        path = "/datasets/" + made["cid"]
        said = api(self.second, "GET", path + "/metadata", token=self.token)[1]
        expect((said["name"], said["format"], said["key"]) == ("a.csv", "csv", "in/a.csv"), said)
        status, got, headers = fetch(self.second, path, self.token)
        expect((status, got, headers["content-type"]) == (200, b"a,b\n1,2\n", "text/csv"), got)
        s3.put_object(Bucket=BUCKET, Key="in/a.csv", Body=b"a,b\n3,4\n")
        refused(fetch(self.second, path, self.token), 404, "NoSuchDataset")
        refused(api(self.first, "GET", path + "/metadata", token=self.token), 404, "NoSuchDataset")
        expect(api(self.first, "DELETE", path, token=self.token)[0] == 204, "delete")
        expect(s3.get_object(Bucket=BUCKET, Key="in/a.csv")["Body"].read() == b"a,b\n3,4\n",
               "the object stays")
        # A bucket that keeps versions keeps the data set too.
        s3.create_bucket(Bucket=BUCKET + "-kept")
        s3.put_bucket_versioning(
            Bucket=BUCKET + "-kept", VersioningConfiguration={"Status": "Enabled"})
        time.sleep(NOTICE_S)
        status, made = post(self.first, self.token, b"old", [
            ("bucket", BUCKET + "-kept"), ("key", "k")])
        expect(status == 201, made)
        s3.put_object(Bucket=BUCKET + "-kept", Key="k", Body=b"new")
        got = fetch(self.second, "/datasets/" + made["cid"], self.token)
        expect(got[:2] == (200, b"old"), got)

    def lists(self):
        """Pages of what is the account's, for the account alone."""
        seen, after = [], ""
        while after is not None:
            status, page, _ = api(
                self.second, "GET", f"/users/me/datasets?limit=2&after={after}", token=self.token)
            expect(status == 200 and len(page["datasets"]) <= 2, page)
            seen += [entry["cid"] for entry in page["datasets"]]
            after = page["next"]
        expect(seen == sorted(set(seen)) and self.cid in seen and len(seen) >= 5, seen)
        page = api(self.first, "GET", "/users/me/datasets", token=self.other)[1]
        expect(page == {"datasets": [], "next": None}, page)
        refused(api(self.first, "GET", "/users/me/datasets?limit=0", token=self.token),
                400, "InvalidArgument")
        refused(api(self.first, "GET", "/users/me/datasets?afer=x", token=self.token),
                400, "InvalidArgument")

    def keys(self):
        """What limits a key or a token limits what it does with data sets."""
        def token(**limits):
            return api(self.first, "POST", "/tokens", limits)[1]["token"]

        reader = token(bucket=BUCKET, prefix="r/", rights="read")
        writer = token(bucket=BUCKET, prefix="r/")
        place = [("bucket", BUCKET), ("key", "r/x.bin")]
        refused(post(self.first, reader, b"1" * 9000, place), 403, "AccessDenied")
        refused(post(self.first, writer, b"1" * 9000), 403, "AccessDenied")
        refused(post(self.first, writer, b"1" * 9000, [("bucket", BUCKET), ("key", "s/x.bin")]),
                403, "AccessDenied")
        refused(post(self.first, writer, b"1" * 9000, place + [("access", "{}")]),
                403, "AccessDenied")
        status, made = post(self.first, writer, b"1" * 9000, place)
        expect(status == 201, made)
        path = "/datasets/" + made["cid"]
        for word in (reader, writer):
            expect(fetch(self.second, path, word)[0] == 200, "within reach")
            refused(fetch(self.second, "/datasets/" + self.cid, word), 403, "AccessDenied")
            page = api(self.second, "GET", "/users/me/datasets", token=word)[1]
            expect([entry["cid"] for entry in page["datasets"]] == [made["cid"]], page)
        refused(api(self.first, "PATCH", path + "/metadata", {"name": "y"}, reader),
                403, "AccessDenied")
        refused(api(self.first, "PATCH", path + "/metadata",
                    {"access": {"public_read": True}}, writer), 403, "AccessDenied")
        expect(api(self.first, "PATCH", path + "/metadata", {"name": "y"}, writer)[0] == 200, "name")
        refused(api(self.first, "DELETE", path, token=reader), 403, "AccessDenied")
        expect(api(self.first, "DELETE", path, token=writer)[0] == 204, "delete")
        refused(fetch(self.second, path, self.token), 404, "NoSuchDataset")

    # Access

    def change(self, **members):
        status, said, _ = api(
            self.first, "PATCH", f"/datasets/{self.cid}/metadata", members, self.token)
        expect(status == 200, said)
        return said

    def access(self):
        """Who may read is what its owner says, at the other gateway at once."""
        path = "/datasets/" + self.cid

        def read(token, wanted, code=None):
            for gateway in (self.first, self.second):
                status, got, _ = fetch(gateway, path, token)
                expect(status == wanted, f"{status} {got[:300]}")
                if wanted == 200:
                    expect(got == self.file, "the bytes")
                else:
                    expect(json.loads(got)["code"] == code, got)

        read(None, 401, "AccessDenied")
        read(self.other, 403, "AccessDenied")
        refused(api(self.first, "GET", path + "/metadata", token=self.other), 403, "AccessDenied")
        said = self.change(access={"allowed_readers": [self.other_id]})
        expect(said["access"]["allowed_readers"] == [self.other_id], said)
        read(self.other, 200)
        read(None, 401, "AccessDenied")
        said = api(self.second, "GET", path + "/metadata", token=self.other)[1]
        expect("access" not in said and "bucket" not in said and said["name"] == "again", said)
        refused(api(self.first, "PATCH", path + "/metadata", {"name": "x"}, self.other),
                403, "AccessDenied")
        refused(api(self.first, "DELETE", path, token=self.other), 403, "AccessDenied")
        # A token of the reader's that reaches another bucket only does not reach this.
        narrow = api(self.first, "POST", "/tokens", {"bucket": "elsewhere"},
                     key=("other", "other-secret"))[1]["token"]
        read(narrow, 403, "AccessDenied")
        said = self.change(access={"public_read": True, "allowed_readers": []})
        expect(said["access"]["allowed_readers"] == [], said)
        for word in (None, self.other):
            read(word, 200)
        self.change(access={"required_token": "cyx-pass", "required_balance": 3})
        for word in (None, self.other):
            read(word, 501, "NotImplemented")
        read(self.token, 200)
        said = self.change(access={"required_token": "", "required_balance": 0})
        expect(said["access"]["required_token"] is None, said)
        read(None, 200)
        # What its bucket forbids stays forbidden.
        s3 = self.first.s3
        s3.put_public_access_block(Bucket=self.own, PublicAccessBlockConfiguration={
            "IgnorePublicAcls": True})
        time.sleep(NOTICE_S)
        read(None, 401, "AccessDenied")
        s3.delete_public_access_block(Bucket=self.own)
        s3.put_bucket_policy(Bucket=self.own, Policy=json.dumps({"Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self.own}/data/*"}]}))
        time.sleep(NOTICE_S)
        read(None, 401, "AccessDenied")
        read(self.other, 403, "AccessDenied")
        s3.delete_bucket_policy(Bucket=self.own)
        time.sleep(NOTICE_S)
        read(self.other, 200)
        self.change(access={"public_read": False})
        read(None, 401, "AccessDenied")

    def search(self):
        """Searches find what was made public to lists, and nothing else."""
        def found(query, token=None):
            names, after = [], ""
            while after is not None:
                status, page, _ = fetch(
                    self.second, f"/marketplace/search?{query}&limit=1"
                    + (f"&after={after}" if after else ""), token)
                expect(status == 200, page)
                page = json.loads(page)
                names += [entry["name"] for entry in page["datasets"]]
                after = page["next"]
            return sorted(names)

        expect(found("q=") == [], "nothing is public yet")
        listed = json.dumps({"public_list": True})
        for token, name, text, kind, price in (
                (self.token, "Flowers", "image classification", "npy", 0),
                (self.token, "Leaves", "Image segmentation", "csv", 9),
                (self.other, "Trees", "image classification of trees", "csv", 0)):
            status, made = post(self.first, token, name.encode() * 300, [
                ("name", name), ("description", text), ("format", kind), ("access", listed),
                ("price", str(price)), ("license", "CC0"),
                ("schema", '{"features": ["width"], "label": "kind"}')])
            expect(status == 201, made)
        for query, wanted in (
                ("q=image+classification", ["Flowers", "Trees"]), ("q=IMAGE", ["Flowers", "Leaves", "Trees"]),
                ("format=csv", ["Leaves", "Trees"]), ("license=cc0&max_price=0", ["Flowers", "Trees"]),
                ("min_size=2KiB", ["Flowers"]), ("max_size=1600", ["Trees"]), ("min_size=1GB", []),
                ("q=width+flowers", ["Flowers"]), ("q=roots", [])):
            for token in (None, self.other):
                names = found(query, token)
                expect(names == wanted, f"{query}: {names}")
        # Where it lies only its account is told, by keys that reach it.
        narrow = api(self.first, "POST", "/tokens", {"bucket": BUCKET})[1]["token"]
        for token, tells in ((None, False), (self.other, False), (narrow, False), (self.token, True)):
            entry, = json.loads(fetch(self.first, "/marketplace/search?q=leaves", token)[1])["datasets"]
            expect(("access" in entry, "bucket" in entry) == (tells, tells), entry)
        # Whoever finds it may see what is said of it, and read no more than he may.
        page = json.loads(fetch(self.first, "/marketplace/search?q=leaves")[1])
        entry, = page["datasets"]
        status, said, _ = fetch(self.first, f"/datasets/{entry['cid']}/metadata")
        expect(status == 200 and json.loads(said)["schema"]["label"] == "kind", said)
        refused(fetch(self.first, "/datasets/" + entry["cid"]), 401, "AccessDenied")
        for query in ("min_size=big", "min_size=2GB&max_size=1GB", "after=x", "limit=99", "w=x"):
            refused(fetch(self.first, "/marketplace/search?" + query), 400, "InvalidArgument")

    def delete(self):
        path = "/datasets/" + self.cid
        before = self.objects()
        expect(api(self.second, "DELETE", path, token=self.token)[0] == 204, "delete")
        refused(fetch(self.first, path, self.token), 404, "NoSuchDataset")
        refused(api(self.first, "DELETE", path, token=self.token), 404, "NoSuchDataset")
        expect(len(self.objects()) == len(before) - 2, self.objects())

    def stop(self):
        self.network.stop()


def run(cases, programs):
    sets = Datasets(programs)
    try:
        cases.run("data sets: start", sets.start)
        if cases.failed:
            return
        cases.run("data sets of several sizes, by CID, at two gateways", sets.upload)
        cases.run("the same data set twice", sets.same)
        cases.run("data sets that are refused", sets.broken)
        cases.run("objects that become data sets", sets.register)
        cases.run("lists of data sets", sets.lists)
        cases.run("data sets and limited keys", sets.keys)
        cases.run("who may read a data set", sets.access)
        cases.run("searches for data sets", sets.search)
        for name, case in Samples(sets, post, fetch, refused).cases():
            cases.run(name, case)
        cases.run("data sets that are deleted", sets.delete)
    finally:
        sets.stop()
