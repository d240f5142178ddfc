"""Links to what an account shares: pages for browsers, bytes for everything else."""

import base64
import contextlib
import json
import re
import time
import urllib.parse

from s3_gateway import case, expect, random_bytes
from s3_rest_cases import api, made, refusal

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def opened(g, path, method="GET", headers=None, body=None):
    """What whoever has the link gets: status, bytes, headers."""
    with contextlib.closing(g.connection()) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def shared(g, body, **options):
    status, share, _ = api(g, "POST", "/shares", body, **options)
    expect(status, 201, "status of %s" % share)
    return share


def no_scripts(headers):
    policy = headers["Content-Security-Policy"]
    expect("default-src 'none'" in policy and "script" not in policy, True, policy)
    expect(headers["X-Content-Type-Options"], "nosniff", "sniffing")
    expect(headers["Referrer-Policy"], "no-referrer", "referrer")


@case
def links_give_objects_to_whoever_has_them(g):
    g.link_bucket = bucket = g.bucket + "-links"
    g.s3.create_bucket(Bucket=bucket)
    data, key = random_bytes(3_000_000, 4), 'album/<b>"ü" 1.png'
    g.s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType="image/png",
                    Metadata={"secret": "s"}, ContentDisposition="inline; filename=x")
    share = shared(g, {"bucket": bucket, "key": key, "expires": "24h"})
    expect((share["state"], share["download"], share["password"]), ("open", True, False), "said")
    expect(share["url"], g.endpoint + share["path"], "url")
    path = share["path"]
    status, got, headers = opened(g, path)
    expect((status, got == data), (200, True), "bytes")
    expect(headers["Content-Type"], "image/png", "type")
    expect(headers["Content-Disposition"],
           "attachment; filename=\"<b>___ 1.png\"; "
           "filename*=UTF-8''%3Cb%3E%22%C3%BC%22%201.png", "name")
    expect("sandbox" in headers["Content-Security-Policy"], True, "sandbox")
    expect([h for h in headers if h.lower().startswith("x-amz-meta")], [], "metadata")
    status, got, headers = opened(g, path, headers={"Range": "bytes=10-19"})
    expect((status, got, headers["Content-Range"]),
           (206, data[10:20], "bytes 10-19/3000000"), "a range")
    again = opened(g, path, headers={"If-None-Match": headers["ETag"]})
    expect((again[0], again[1]), (304, b""), "not modified")
    status, got, headers = opened(g, path, "HEAD")
    expect((status, got, headers["Content-Length"]), (200, b"", "3000000"), "HEAD")
    status, page, headers = opened(g, path, headers=HTML)
    expect((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"), "a page")
    no_scripts(headers)
    expect(b"&lt;b&gt;&quot;\xc3\xbc&quot; 1.png" in page and b"<b>" not in page, True, "escaped")
    expect(("?view\"" in page.decode(), "?download\"" in page.decode()), (True, True), "both")
    status, got, headers = opened(g, path + "?view", headers=HTML)
    expect((status, got == data, headers["Content-Disposition"]), (200, True, "inline"), "shown")
    status, got, headers = opened(g, path + "?download", headers=HTML)
    expect((status, got == data), (200, True), "download from the page")
    # Neither the query nor the headers of a visitor say what the bytes are or which they are.
    status, got, headers = opened(
        g, path + "?download&response-content-type=text/html&versionId=null&partNumber=7",
        headers={"x-amz-server-side-encryption-customer-algorithm": "AES256"})
    expect((status, headers["Content-Type"]), (200, "image/png"), "type that was asked for")
    expect(opened(g, path + "/more")[0], 404, "more path than an object has")
    expect(opened(g, path, "PUT", body=b"x")[0], 405, "PUT")
    expect(opened(g, path, "POST", body=b"password=x")[0], 405, "a password that there is not")


@case
def links_end(g):
    bucket = g.link_bucket
    g.s3.put_object(Bucket=bucket, Key="brief", Body=b"brief")
    share = shared(g, {"bucket": bucket, "key": "brief", "expires": 1})
    expect(opened(g, share["path"])[1], b"brief", "bytes")
    time.sleep(1.1)
    status, page, headers = opened(g, share["path"], headers=HTML)
    expect((status, b"link expired at %s" % share["expires"].encode() in page), (410, True), page)
    no_scripts(headers)
    status, text, _ = opened(g, share["path"])
    expect((status, json.loads(text)["code"]), (410, "ShareEnded"), "for programs")
    expect(share["token"] in text.decode(), False, "the token said again")
    second = shared(g, {"bucket": bucket, "key": "brief"})
    status, listed, _ = api(g, "GET", "/shares")
    states = {entry["id"]: entry["state"] for entry in listed["shares"]}
    expect((states[share["id"]], states[second["id"]]), ("expired", "open"), "states")
    expect(any("token" in entry or "url" in entry for entry in listed["shares"]), False, "tokens")
    expect(api(g, "DELETE", "/shares/" + second["id"])[0], 204, "revocation")
    expect(opened(g, second["path"])[0], 410, "revoked")
    refusal(api(g, "DELETE", "/shares/" + second["id"]), 404, "NoSuchShare")
    # What was never given out is answered like what nobody knows.
    unknown = [opened(g, "/s/" + name) for name in ("A" * 43, "x", "A" * 44, "")]
    expect({(status, text) for status, text, _ in unknown}, {unknown[0][:2]}, "unknown links")
    expect(unknown[0][0], 404, "status")
    gone = shared(g, {"bucket": bucket, "key": "brief"})
    g.s3.delete_object(Bucket=bucket, Key="brief")
    expect(opened(g, gone["path"])[0], 404, "the object is gone")


@case
def links_have_passwords(g):
    bucket = g.link_bucket
    g.s3.put_object(Bucket=bucket, Key="locked.txt", Body=b"<i>locked</i>",
                    ContentType="text/plain")
    share = shared(g, {"bucket": bucket, "key": "locked.txt", "password": "über:all"})
    path = share["path"]
    expect((share["password"], "über" in json.dumps(share, ensure_ascii=False)), (True, False), "")
    status, page, headers = opened(g, path, headers=HTML)
    expect((status, b'type="password"' in page, b"locked" in page), (401, True, False), "the form")
    expect(headers["WWW-Authenticate"], None, "a dialog of the browser's")
    no_scripts(headers)
    status, text, headers = opened(g, path)
    expect((status, headers["WWW-Authenticate"][:5]), (401, "Basic"), "for programs")

    def basic(word):
        value = base64.b64encode(("any:" + word).encode()).decode()
        return opened(g, path, headers={"Authorization": "Basic " + value})

    expect(basic("über:all")[:2], (200, b"<i>locked</i>"), "curl -u")
    expect(basic("wrong")[0], 401, "a wrong one")
    form = dict(HTML, **{"Content-Type": "application/x-www-form-urlencoded"})
    status, page, headers = opened(g, path, "POST", form, "password=wrong")
    expect((status, headers["Set-Cookie"], b"wrong" in page), (401, None, True), "a wrong one")
    word = "password=" + urllib.parse.quote_plus("über:all")
    status, _, headers = opened(g, path, "POST", form, word)
    expect((status, headers["Location"]), (303, path), "the right one")
    cookie, *flags = headers["Set-Cookie"].split("; ")
    expect({"HttpOnly", "SameSite=Lax", "Path=" + path} <= set(flags), True, flags)
    status, page, _ = opened(g, path, headers=dict(HTML, Cookie="a=b; " + cookie))
    expect((status, b"&lt;i&gt;locked" in page, b"<i>" in page), (200, True, False), "the text")
    expect(opened(g, path, headers={"Cookie": cookie})[1], b"<i>locked</i>", "its bytes")
    other = shared(g, {"bucket": bucket, "key": "locked.txt", "password": "other"})
    expect(opened(g, other["path"], headers={"Cookie": cookie})[0], 401, "another link's cookie")
    expect(opened(g, path, headers={"Cookie": cookie[:-4] + "AAAA"})[0], 401, "a forged cookie")
    token = made(g)["token"]
    expect(opened(g, path, headers={"Cookie": "cyx-link=" + token})[0], 401, "a session's token")
    refusal(api(g, "GET", "/users/me", token=cookie.split("=", 1)[1]), 401, "InvalidToken")
    answers = [basic("wrong %d" % index) for index in range(12)]
    slow = [answer for answer in answers if answer[0] == 429]
    expect((len(slow) > 0, slow and int(slow[0][2]["Retry-After"]) > 0), (True, True), "a limit")
    expect(opened(g, path, headers={"Cookie": cookie})[0], 200, "who is in already")


@case
def links_show_without_download(g):
    bucket = g.link_bucket
    for key, kind in (("v.png", "image/png"), ("v.svg", "image/svg+xml"), ("v.html", "text/html")):
        g.s3.put_object(Bucket=bucket, Key="see/" + key, Body=b"<script>1</script>",
                        ContentType=kind)
    paths = {}
    for key in ("v.png", "v.svg", "v.html"):
        share = shared(g, {"bucket": bucket, "key": "see/" + key, "download": False})
        paths[key] = share["path"]
        expect(share["download"], False, "said")
        for query, headers in (("", {}), ("?download", {}), ("?download", HTML)):
            status, text, _ = opened(g, share["path"] + query, headers=headers)
            expect((status, b"script" in text), (403, False), "a download of " + key)
        status, page, _ = opened(g, share["path"], headers=HTML)
        expect((status, b"copying what can be seen" in page, b"?download" in page),
               (200, True, False), "the page of " + key)
        expect(b"<script>" in page, False, "scripts in the page of " + key)
    expect(opened(g, paths["v.png"] + "?view")[:2], (200, b"<script>1</script>"), "a picture")
    for key in ("v.svg", "v.html"):
        expect(opened(g, paths[key] + "?view")[0], 400, "what browsers would run: " + key)
    expect(b"&lt;script&gt;" in opened(g, paths["v.html"], headers=HTML)[1], True, "its source")


@case
def links_list_folders(g):
    bucket = g.link_bucket
    for key in ("dir/a.txt", "dir/sub/ü &.txt", "dir/sub/deep/c", "dirt/x", "outside"):
        g.s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), ContentType="text/plain")
    share = shared(g, {"bucket": bucket, "prefix": "dir/"})
    root = share["path"]
    status, text, _ = opened(g, root)
    found = json.loads(text)
    expect((status, found["folders"], [f["name"] for f in found["files"]], found["next"]),
           (200, ["sub/"], ["a.txt"], None), "the folder")
    status, page, headers = opened(g, root, headers=HTML)
    no_scripts(headers)
    links = re.findall('href="([^"]*)"', page.decode())
    expect(links, [root + "/sub/", root + "/a.txt"], "links")
    status, page, _ = opened(g, root + "/sub/", headers=HTML)
    links = re.findall('href="([^"]*)"', page.decode())
    expect(links, [root + "/", root + "/sub/deep/", root + "/sub/%C3%BC%20%26.txt"], "links of sub")
    expect(opened(g, links[2])[1].decode(), "dir/sub/ü &.txt", "a file of it")
    expect(opened(g, root + "/a.txt")[1], b"dir/a.txt", "a file")
    for path in ("/../outside", "/%2e%2e/outside", "/..%2Foutside", "t/x", "/nothing", "/%00"):
        status, text, _ = opened(g, root + path)
        expect((status in (400, 404), b"outside" in text), (True, False), "status of " + path)
    whole = shared(g, {"bucket": bucket, "prefix": ""})
    expect(opened(g, whole["path"] + "/outside")[1], b"outside", "the whole bucket")
    for body in ({"bucket": bucket, "prefix": "di"}, {"bucket": bucket},
                 {"bucket": bucket, "key": "a", "prefix": "b/"},
                 {"bucket": bucket, "key": "a", "expires": "soon"},
                 {"bucket": bucket, "key": "a", "password": ""}):
        status, answer, _ = api(g, "POST", "/shares", body)
        expect((status in (400, 404), answer["code"] != ""), (True, True), "status of %s" % body)
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "key": "absent"}), 404, "NoSuchKey")
    refusal(api(g, "POST", "/shares", {"bucket": "no-such-bucket", "key": "a"}), 404,
            "NoSuchBucket")


@case
def links_reach_no_more_than_who_made_them(g):
    bucket = g.link_bucket
    other = (g.other_access_key, g.other_secret_key)
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "key": "outside"}, key=other), 403,
            "AccessDenied")
    # Not even where the owner lets another account read: it is his to say who gets links.
    account = api(g, "GET", "/users/me", key=other)[1]["account"]
    policy = {"Statement": [{"Effect": "Allow", "Action": "s3:*",
                             "Principal": {"AWS": "arn:aws:iam::%s:root" % account},
                             "Resource": "arn:aws:s3:::%s/*" % bucket}]}
    g.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    answer = api(g, "POST", "/shares", {"bucket": bucket, "key": "outside"}, key=other)
    refusal(answer, 403, "AccessDenied")
    expect("Only the account" in answer[1]["message"], True, answer[1]["message"])
    g.s3.delete_bucket_policy(Bucket=bucket)
    g.s3.put_object(Bucket=bucket, Key="sealed", Body=b"sealed", SSECustomerAlgorithm="AES256",
                    SSECustomerKey=b"k" * 32)
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "key": "sealed"}), 400, "InvalidRequest")
    whole = shared(g, {"bucket": bucket, "prefix": ""})["path"]
    for headers in ({}, HTML):
        expect(opened(g, whole + "/sealed", headers=headers)[0], 400, "what only its writer reads")
    status, text = g.signed(
        "POST", "/?cyx-keys=&name=linker&bucket=%s&prefix=dir%%2F&rights=read" % bucket)
    expect(status, 200, "status of " + text)
    found = dict(re.findall("<(Id|Secret)>([^<]*)<", text))
    key = (found["Id"], found["Secret"])
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "key": "outside"}, key=key), 403,
            "AccessDenied")
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "prefix": ""}, key=key), 403,
            "AccessDenied")
    share = shared(g, {"bucket": bucket, "prefix": "dir/"}, token=made(g, key=key)["token"])
    narrow = made(g, key=key, body={"prefix": "dir/sub/"})["token"]
    refusal(api(g, "POST", "/shares", {"bucket": bucket, "prefix": "dir/sub/"}, token=narrow), 403,
            "AccessDenied")
    listed = api(g, "GET", "/shares", key=key)[1]["shares"]
    expect([entry["id"] for entry in listed], [share["id"]], "what the key sees")
    everything = api(g, "GET", "/shares")[1]["shares"]
    refusal(api(g, "DELETE", "/shares/" + everything[-1]["id"], key=key), 404, "NoSuchShare")
    expect(opened(g, share["path"] + "/a.txt")[1], b"dir/a.txt", "bytes")
    # The bucket's policy is asked each time that the link is opened.
    policy = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
                             "Resource": "arn:aws:s3:::%s/dir/a.txt" % bucket}]}
    g.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    expect(opened(g, share["path"] + "/a.txt")[0], 403, "what the policy denies")
    g.s3.delete_bucket_policy(Bucket=bucket)
    expect(opened(g, share["path"] + "/a.txt")[0], 200, "without the policy")
    expect(g.signed("DELETE", "/?cyx-key=linker")[0], 204, "revocation of the key")
    expect(opened(g, share["path"] + "/a.txt")[0], 410, "without its key")
    for page in g.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page["Contents"]:
            g.s3.delete_object(Bucket=bucket, Key=entry["Key"])
    g.s3.delete_bucket(Bucket=bucket)
