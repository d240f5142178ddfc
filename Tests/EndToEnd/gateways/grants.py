"""Tokens and links at two gateways of one account: what one gives out, the other takes, and ends."""

import json
import os
import pathlib
import subprocess
import sys
import time

from growth import Network
from harness import expect, wait_until
from support.fronts import add_peers, wait_until_whole

sys.path.append(str(pathlib.Path(__file__).parent.parent / "clients"))
from s3_gateway import Gateway  # noqa: E402 - beside the cases that drive one gateway
from s3_link_cases import HTML, opened  # noqa: E402
from s3_rest_cases import api  # noqa: E402

PEERS = 4
BUCKET = "grants"
# How long a gateway of the devnet's profile may go by what was revoked at another.
NOTICE_S = 2.0
SLACK_S = 0.5


class Grants:
    def __init__(self, programs):
        self.programs = pathlib.Path(programs)
        self.network = Network(programs)

    def start(self):
        add_peers(self.network, PEERS, gateways=2)
        wait_until_whole("the views", self.network, 60)
        self.first, self.second = (
            Gateway("http://" + peer.read("s3"), "demo", "demo-secret", str(self.network.data))
            for peer in self.network.peers[:2])
        self.first.s3.create_bucket(Bucket=BUCKET)
        self.first.s3.put_object(
            Bucket=BUCKET, Key="a/b.txt", Body=b"shared", ContentType="text/plain")

    def tokens(self):
        status, token, _ = api(self.first, "POST", "/tokens")
        expect(status == 201, f"{status} {token}")
        word = token["token"]
        for gateway in (self.first, self.second):
            status, me, _ = api(gateway, "GET", "/users/me", token=word)
            expect(status == 200 and me["account"] == token["account"], f"{status} {me}")
        # The second has read what is revoked just now, and may go by that for a while.
        expect(api(self.first, "DELETE", "/tokens", token=word)[0] == 204, "revocation")
        expect(api(self.first, "GET", "/users/me", token=word)[0] == 401, "where it was revoked")
        time.sleep(NOTICE_S + SLACK_S)
        status, answer, _ = api(self.second, "GET", "/users/me", token=word)
        expect(status == 401 and "revoked" in answer["message"], f"{status} {answer}")

    def links(self):
        status, share, _ = api(
            self.first, "POST", "/shares",
            {"bucket": BUCKET, "key": "a/b.txt", "password": "word"})
        expect(status == 201, f"{status} {share}")
        path = share["path"]
        # A gateway that has just looked sees a new link late, but not later than this.
        wait_until("the link", lambda: opened(self.second, path)[0] == 401, NOTICE_S + SLACK_S)
        form = dict(HTML, **{"Content-Type": "application/x-www-form-urlencoded"})
        status, _, headers = opened(self.first, path, "POST", form, "password=word")
        expect(status == 303, status)
        cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
        status, got, _ = opened(self.second, path, headers=cookie)
        expect((status, got) == (200, b"shared"), f"{status} {got}")
        expect(api(self.second, "DELETE", "/shares/" + share["id"])[0] == 204, "revocation")
        expect(opened(self.second, path, headers=cookie)[0] == 410, "where it was revoked")
        time.sleep(NOTICE_S + SLACK_S)
        expect(opened(self.first, path, headers=cookie)[0] == 410, "at the first")

    def restarts(self):
        """What was revoked stays so, and what was given out stays good, over a gateway's death."""
        kept, ended = (api(self.first, "POST", "/tokens")[1] for _ in range(2))
        api(self.first, "DELETE", "/tokens", token=ended["token"])
        share = api(self.first, "POST", "/shares", {"bucket": BUCKET, "prefix": "a/"})[1]
        peer = self.network.peers[1]
        peer.kill()
        peer.restart()
        wait_until("the gateway", lambda: peer.is_serving(), 30)
        address = "http://" + peer.read("s3")
        again = Gateway(address, "demo", "demo-secret", str(self.network.data))
        wait_until("it", lambda: api(again, "GET", "/users/me")[0] == 200, 30)
        expect(api(again, "GET", "/users/me", token=kept["token"])[0] == 200, "the kept token")
        expect(api(again, "GET", "/users/me", token=ended["token"])[0] == 401, "the ended one")
        expect(opened(again, share["path"] + "/b.txt")[1] == b"shared", "the link")

    def cyxcloud(self, *words, text=None, status=0):
        environment = dict(
            os.environ, AWS_ENDPOINT_URL=self.first.endpoint, AWS_ACCESS_KEY_ID="demo",
            AWS_SECRET_ACCESS_KEY="demo-secret")
        done = subprocess.run(
            [self.programs / "cyxcloud", "share", *words], env=environment, input=text,
            capture_output=True, text=True, timeout=60)
        expect(done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}")
        return done

    def command_line(self):
        done = self.cyxcloud(
            BUCKET + "/a/b.txt", "--expires", "24h", "--password", "--no-download", text="word\n")
        link = done.stdout.strip()
        expect(link.startswith(self.first.endpoint + "/s/"), link)
        for words in ("until 20", "password   yes", "can be copied", "share revoke"):
            expect(words in done.stderr, f"{words} in {done.stderr}")
        path = link.removeprefix(self.first.endpoint)
        expect(opened(self.first, path)[0] == 401, "without the password")
        made = json.loads(self.cyxcloud(BUCKET + "/a/", "--json").stdout)["result"]
        got = opened(self.first, made["url"].removeprefix(self.first.endpoint) + "/b.txt")
        expect(got[:2] == (200, b"shared"), got)
        expect(f"{made['id']}  all in {BUCKET}/a/  open" in self.cyxcloud("list").stdout, "list")
        self.cyxcloud("revoke", made["id"])
        expect(f"all in {BUCKET}/a/  revoked" in self.cyxcloud("list").stdout, "list after that")
        done = self.cyxcloud("revoke", made["id"], status=1)
        expect("error NoSuchShare: The account has no such link" in done.stderr, done.stderr)
        done = self.cyxcloud(BUCKET + "/absent", status=1)
        expect("error NoSuchKey" in done.stderr and "try:" in done.stderr, done.stderr)
        self.cyxcloud(BUCKET + "/a/b.txt", "--expires", "soon", status=2)

    def stop(self):
        self.network.stop()


def run(cases, programs):
    grants = Grants(programs)
    try:
        cases.run("tokens and links: start", grants.start)
        if cases.failed:
            return
        cases.run("tokens at two gateways", grants.tokens)
        cases.run("links at two gateways", grants.links)
        cases.run("tokens and links over a gateway's death", grants.restarts)
        cases.run("cyxcloud share", grants.command_line)
    finally:
        grants.stop()
