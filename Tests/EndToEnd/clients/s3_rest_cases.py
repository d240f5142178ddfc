"""The REST interface: bearer tokens, what they may, and how requests are refused."""

import contextlib
import hashlib
import json
import re
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3_gateway import case, expect, expect_code

ROOT = "/api/v1"


def api(g, method, path, body=None, token=None, key=None, headers=None):
    """A request to the REST interface: with a token, or signed by (access, secret); returns the
    status, the JSON of the answer (None without one) and its headers."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = dict(headers or {})
    if token is not None:
        headers["Authorization"] = "Bearer " + token
    elif key is not False:
        request = AWSRequest(method, g.endpoint + ROOT + path, headers=headers, data=data)
        request.headers["x-amz-content-sha256"] = hashlib.sha256(data).hexdigest()
        credentials = Credentials(*(key or (g.access_key, g.secret_key)))
        SigV4Auth(credentials, "s3", "auto").add_auth(request)
        headers = dict(request.headers.items())
    with contextlib.closing(g.connection()) as connection:
        connection.request(method, ROOT + path, body=data, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, json.loads(text) if text else None, response.headers


def refusal(answer, status, code):
    """Checks that the answer says no, in all four words that errors have."""
    expect((answer[0], (answer[1] or {}).get("code")), (status, code), "refusal %s" % (answer[1],))
    expect(sorted(answer[1]), ["code", "message", "subject", "try"], "members")
    expect(bool(answer[1]["message"] and answer[1]["subject"]), True, "words")


def made(g, **options):
    status, token, headers = api(g, "POST", "/tokens", options.pop("body", None), **options)
    expect(status, 201, "status of %s" % token)
    expect(headers["Cache-Control"], "no-store", "caching")
    return token


def changed(token, index):
    """With another character there."""
    other = "A" if token[index] != "A" else "B"
    return token[:index] + other + token[index + 1:]


@case
def bearer_tokens_speak_for_their_account(g):
    token = made(g)
    expect((token["token_type"], token["expires_in"]), ("Bearer", 3600), "kind and life")
    status, me, _ = api(g, "GET", "/users/me", token=token["token"])
    expect((status, me["account"]), (200, token["account"]), "who")
    expect(me["token_expires_at"], token["expires_at"], "end")
    status, me, _ = api(g, "GET", "/users/me")
    expect((status, me["limits"], me["token_expires_at"]), (200, None, None), "by the key")
    for bad in (changed(token["token"], -20), token["token"] + "x", "x.y.z"):
        answer = api(g, "GET", "/users/me", token=bad)
        refusal(answer, 401, "InvalidToken")
        expect("invalid_token" in answer[2]["WWW-Authenticate"], True, "challenge")
    refusal(api(g, "POST", "/tokens", token=token["token"]), 403, "AccessDenied")
    brief = made(g, body={"seconds": 1})["token"]
    time.sleep(1.1)
    refusal(api(g, "GET", "/users/me", token=brief), 401, "ExpiredToken")
    other = made(g, key=(g.other_access_key, g.other_secret_key))
    status, me, _ = api(g, "GET", "/users/me", token=other["token"])
    expect((status, me["name"]), (200, "other"), "the other account")


@case
def revoked_tokens_are_refused(g):
    first, second, third = (made(g) for _ in range(3))
    expect(api(g, "DELETE", "/tokens", token=first["token"])[0], 204, "status")
    refusal(api(g, "GET", "/users/me", token=first["token"]), 401, "InvalidToken")
    expect(api(g, "DELETE", "/tokens/" + second["id"])[0], 204, "status by ID")
    refusal(api(g, "GET", "/users/me", token=second["token"]), 401, "InvalidToken")
    expect(api(g, "GET", "/users/me", token=third["token"])[0], 200, "the third")
    refusal(api(g, "DELETE", "/tokens"), 400, "InvalidArgument")
    refusal(api(g, "DELETE", "/tokens/xyz"), 400, "InvalidArgument")


@case
def tokens_may_no_more_than_their_keys(g):
    status, text = g.signed("POST", "/?cyx-keys=&name=rest&prefix=in%2F&rights=read&seconds=600")
    expect(status, 200, "status of " + text)
    found = dict(re.findall("<(Id|Secret)>([^<]*)<", text))
    key = (found["Id"], found["Secret"])
    token = made(g, key=key)
    expect(token["limits"], {"bucket": None, "prefix": "in/", "rights": "read"}, "limits")
    expect(token["expires_in"] <= 600, True, "no longer than the key")
    expect(made(g, key=key, body={"prefix": "in/deep/"})["limits"]["prefix"], "in/deep/", "less")
    for more in ({"prefix": ""}, {"rights": "all"}, {"rights": "write"}):
        refusal(api(g, "POST", "/tokens", more, key=key), 403, "AccessDenied")
    refusal(api(g, "DELETE", "/tokens/" + token["id"], key=key), 403, "AccessDenied")
    refusal(api(g, "DELETE", "/tokens/" + token["id"], token=token["token"]), 403, "AccessDenied")
    narrow = made(g, body={"bucket": "photos", "rights": "write"})
    expect(narrow["limits"], {"bucket": "photos", "prefix": "", "rights": "write"}, "asked for")
    expect(api(g, "GET", "/users/me", token=token["token"])[0], 200, "before the key is revoked")
    expect(g.signed("DELETE", "/?cyx-key=rest")[0], 204, "revocation of the key")
    refusal(api(g, "GET", "/users/me", token=token["token"]), 401, "InvalidToken")


@case
def the_rest_interface_refuses_in_json(g):
    refusal(api(g, "GET", "/users/me", key=False), 401, "AccessDenied")
    refusal(api(g, "GET", "/users/me", key=(g.access_key, "wrong")), 403, "SignatureDoesNotMatch")
    refusal(api(g, "GET", "/users/me", key=("nobody", "wrong")), 403, "InvalidAccessKeyId")
    refusal(api(g, "GET", "/nothing"), 404, "NoSuchPath")
    wrong = api(g, "PUT", "/users/me")
    refusal(wrong, 405, "MethodNotAllowed")
    expect(wrong[2]["Allow"], "GET", "allowed")
    for body in (b"{", b"[]", b'{"seconds":1,"seconds":2}', b"\xff"):
        refusal(api(g, "POST", "/tokens", body), 400, "MalformedJSON")
    for body in ({"second": 1}, {"seconds": 3601}, {"seconds": 0}, {"seconds": "1"},
                 {"bucket": "No"}, {"rights": "own"}):
        refusal(api(g, "POST", "/tokens", body), 400, "InvalidArgument")
    refusal(api(g, "POST", "/tokens", b" " * 70_000), 400, "MaxMessageLengthExceeded")
    # S3's clients hear it as S3 says it.
    expect_code(g.signed("PUT", "/api"), 400, "InvalidBucketName")
