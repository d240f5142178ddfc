"""Events over WebSocket, with a client of others (PyPI `websockets`) and gateways that really run."""

import concurrent.futures
import contextlib
import json
import os
import socket
import ssl
import time
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import websockets.exceptions
import websockets.sync.client

from growth import Network
from harness import Devnet, expect, wait_until
from support.fronts import add_peers, client_of, wait_until_whole

PATH = "/api/v1/events"


def signed(endpoint, method="GET", path=PATH, query=False, access="demo", secret="demo-secret"):
    """The request of that path, signed in its headers or in its query."""
    request = botocore.awsrequest.AWSRequest(method, endpoint + path)
    keys = botocore.credentials.Credentials(access, secret)
    if query:
        botocore.auth.S3SigV4QueryAuth(keys, "s3", "auto", expires=60).add_auth(request)
    else:
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        botocore.auth.S3SigV4Auth(keys, "s3", "auto").add_auth(request)
    return request.prepare()


def token(endpoint):
    request = signed(endpoint, "POST", "/api/v1/tokens")
    asked = urllib.request.Request(
        request.url, data=b"", headers=dict(request.headers), method="POST")
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.loads(answer.read())["token"]


def listen(endpoint, how="headers", ca_file=None, **options):
    """A connected client; `how` it shows whose it is."""
    account = {name: options.pop(name) for name in ("access", "secret") if name in options}
    request = signed(endpoint, query=how == "query", **account)
    url, headers = endpoint + PATH, {}
    if how == "query":
        url = request.url
    elif how == "token":
        headers = {"Authorization": "Bearer " + token(endpoint)}
    elif how == "headers":
        headers = {k: v for k, v in request.headers.items()}
    if ca_file:
        options["ssl"] = ssl.create_default_context(cafile=ca_file)
    return websockets.sync.client.connect(
        url.replace("http", "ws", 1), additional_headers=headers, open_timeout=20, **options)


class Listener:
    """A client with the messages that it has got."""

    def __init__(self, connection):
        self.connection = connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def say(self, **command):
        self.connection.send(json.dumps(command))

    def next(self, limit_s=15):
        return json.loads(self.connection.recv(timeout=limit_s))

    def subscribe(self, stream, **options):
        self.say(subscribe=stream, **options)
        answer = self.next()
        expect(answer["type"] in ("subscribed", "reset"), answer)
        return answer


def summary(event):
    return event["type"], event.get("key"), event.get("size")


def refused(endpoint, status, **options):
    try:
        listen(endpoint, **options).close()
    except websockets.exceptions.InvalidStatus as error:
        expect(error.response.status_code == status, error.response)
        return
    expect(False, "was let in")


def objects(devnet):
    s3, endpoint = devnet.s3(), devnet.endpoint
    s3.create_bucket(Bucket="events")
    s3.put_object(Bucket="events", Key="before", Body=b"old")
    for how in ("headers", "query", "token"):
        with Listener(listen(endpoint, how)) as client:
            client.subscribe("objects", bucket="events", prefix=f"{how}/")
            tag = s3.put_object(Bucket="events", Key=f"{how}/a", Body=b"12345")["ETag"]
            s3.put_object(Bucket="events", Key="elsewhere", Body=b"1")
            event = client.next()
            expect(summary(event) == ("created", f"{how}/a", 5), event)
            expect('"%s"' % event["etag"] == tag, event)
            expect(event["version"] is None and event["time"].endswith("Z"), event)
            s3.delete_object(Bucket="events", Key=f"{how}/a")
            event = client.next()
            expect(summary(event) == ("removed", f"{how}/a", None), event)
    # One from before, which a listing has removed from the index when the event is made.
    with Listener(listen(endpoint)) as client:
        client.subscribe("objects", bucket="events")
        s3.delete_object(Bucket="events", Key="before")
        s3.list_objects_v2(Bucket="events")
        event = client.next()
        expect(summary(event) == ("removed", "before", None), event)


def versions(devnet):
    s3 = devnet.s3()
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(
        Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    with Listener(listen(devnet.endpoint)) as client:
        client.subscribe("objects", bucket="kept")

        def seen(kind):
            event = client.next()
            expect((event["type"], event["key"]) == (kind, "k"), event)
            return event

        version = s3.put_object(Bucket="kept", Key="k", Body=b"1")["VersionId"]
        expect(seen("created")["version"] == version, "another version")
        marker = s3.delete_object(Bucket="kept", Key="k")["VersionId"]
        seen("removed")
        s3.delete_object(Bucket="kept", Key="k", VersionId=marker)
        expect(seen("restored")["version"] == version, "another version")
        # Tags change no object.
        s3.put_object_tagging(
            Bucket="kept", Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        version = s3.put_object(Bucket="kept", Key="k", Body=b"22")["VersionId"]
        expect(seen("created")["version"] == version, "another version")


def coming_back(devnet):
    s3 = devnet.s3()
    s3.create_bucket(Bucket="back")
    with Listener(listen(devnet.endpoint)) as client:
        position = client.subscribe("objects", bucket="back")["position"]
        s3.put_object(Bucket="back", Key="0", Body=b"")
        position = client.next()["position"]
    for number in range(1, 6):
        s3.put_object(Bucket="back", Key=str(number), Body=b"")
    with Listener(listen(devnet.endpoint)) as client:
        answer = client.subscribe("objects", bucket="back", after=position)
        expect(answer["type"] == "subscribed", answer)
        keys = {client.next()["key"] for _ in range(5)}
        expect(keys == {"1", "2", "3", "4", "5"}, keys)
        for wrong in ("0-1", "nonsense"):
            answer = client.subscribe("objects", bucket="back", after=wrong)
            expect(answer["type"] == "reset" and "anew" in answer["text"], answer)


def rights(devnet):
    endpoint = devnet.endpoint
    other = {"access": "other", "secret": "other-secret"}
    refused(endpoint, 401, how="none")
    refused(endpoint, 403, access="demo", secret="wrong-secret")
    refused(endpoint, 403, origin="https://evil.example")
    with Listener(listen(endpoint, origin=endpoint)) as client:
        client.subscribe("metrics", seconds=1)
        expect(client.next()["status"]["peer"], "no metrics")
        expect(client.next()["type"] == "metrics", "no more metrics")
        client.say(unsubscribe="metrics")
        client.say(subscribe="notifications")
        while (answer := client.next())["type"] == "metrics":
            pass
        expect(answer["type"] == "unsubscribed", answer)
        expect(client.next()["type"] == "subscribed", "no notifications")
    with Listener(listen(endpoint, **other)) as client:
        for command in (
                {"subscribe": "objects", "bucket": "events"}, {"subscribe": "metrics"},
                {"subscribe": "notifications"}):
            client.say(**command)
            answer = client.next()
            expect((answer["type"], answer["code"]) == ("error", "AccessDenied"), answer)
        client.say(subscribe="objects", bucket="there-is-none")
        expect(client.next()["code"] == "NoSuchBucket", "no NoSuchBucket")
        client.connection.send("no JSON")
        expect(client.next()["code"] == "InvalidMessage", "no InvalidMessage")


def closed_with(connection, limit_s=20):
    try:
        while True:
            connection.recv(timeout=limit_s)
    except websockets.exceptions.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def limits(devnet):
    endpoint = devnet.endpoint
    with contextlib.ExitStack() as stack:
        for _ in range(32):
            stack.callback(listen(endpoint).close)
        expect(closed_with(listen(endpoint)) == 1013, "a connection too many")
    with Listener(listen(endpoint, max_size=None)) as client:
        client.connection.send("x" * 70_000)
        expect(closed_with(client.connection) == 1009, "a message that is too long")
    wait_until("room again", lambda: listen(endpoint).close() is None, 10)
    # A client that reads nothing while much happens: 16 streams, a key of 900 bytes.
    s3 = devnet.s3(max_pool_connections=8)
    s3.create_bucket(Bucket="slow")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = endpoint.split("//")[1].split(":")
    plain.connect((host, int(port)))
    slow = Listener(listen(endpoint, sock=plain, max_queue=1))
    for count in range(16):
        slow.subscribe("objects", bucket="slow", prefix="k" * count)

    def told_off():
        text = devnet.gateway.admin("/metrics")
        return "cyxcloud_events_slow_clients_total 1" in text

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for batch in range(40):
            keys = ["k" * 900 + f"{batch:02}{number:02}" for number in range(20)]
            list(pool.map(lambda key: s3.put_object(Bucket="slow", Key=key, Body=b""), keys))
            if told_off():
                break
    wait_until("the slow client's end", told_off, 10)
    # It may have been cut off before it came to read why.
    expect(closed_with(slow.connection) in (1013, 1006, None), "the slow client goes on")


def raw_frames(devnet):
    """A frame without a mask (RFC 6455 §5.1) closes with 1002."""
    with contextlib.closing(listen(devnet.endpoint)) as connection:
        connection.socket.sendall(bytes([0x81, 5]) + b"Hello")
        expect(closed_with(connection) == 1002, "an unmasked frame was taken")


def durability(devnet):
    s3 = devnet.s3()
    s3.create_bucket(Bucket="risk")
    # A gateway tells of the segments that it watches itself: about one of six. Of eight segments
    # it watched none once in a few runs; of 96, once in 10^7.
    for number in range(96):
        s3.put_object(Bucket="risk", Key=str(number), Body=os.urandom(50_000))
    devnet.wait_repaired()
    with Listener(listen(devnet.endpoint)) as client:
        client.subscribe("notifications")
        victim = devnet.peer(devnet.count - 1)
        victim.kill()
        kinds = {client.next(limit_s=60)["kind"]}
        expect(kinds <= {"repair_begun", "objects_at_risk"}, kinds)
        victim.restart()
        while "repaired" not in kinds:
            kinds.add(client.next(limit_s=60)["kind"])
    return ", ".join(sorted(kinds))


def two_gateways(programs):
    """What one gateway answers, those who listen at the other hear of."""
    network = Network(programs)
    try:
        add_peers(network, 4, gateways=2)
        wait_until_whole("the views", network, 60)
        writer, other = (client_of(peer) for peer in network.peers[:2])
        writer.create_bucket(Bucket="shared")
        wait_until("the bucket", lambda: other.head_bucket(Bucket="shared"), 10)
        with Listener(listen("http://" + network.peers[1].read("s3"))) as client:
            client.subscribe("objects", bucket="shared")
            begin = time.monotonic()
            for number in range(100):
                writer.put_object(Bucket="shared", Key=str(number), Body=b"x" * number)
            found = {}
            while len(found) < 100:
                event = client.next()
                expect(event["type"] == "created", event)
                found[event["key"]] = event["size"]
            took = time.monotonic() - begin
            expect(found == {str(n): n for n in range(100)}, found)
            times = []
            for number in range(5):
                writer.put_object(Bucket="shared", Key=f"one {number}", Body=b"x")
                begin = time.monotonic()
                expect(client.next()["key"] == f"one {number}", "another key")
                times.append(time.monotonic() - begin)
    finally:
        network.stop()
    return f"100 objects written and told in {took:.1f} s; one after {max(times):.2f} s at most"


def over_tls(programs):
    extra = ["--s3-tls-self-signed", "--allocated", "2GiB"]
    with Devnet(programs, 1, extra=extra) as devnet:
        s3 = devnet.s3()
        s3.create_bucket(Bucket="events")
        with Listener(listen(devnet.endpoint, ca_file=devnet.ca_file)) as client:
            client.subscribe("objects", bucket="events")
            for number in range(50):
                s3.put_object(Bucket="events", Key=f"{number:03}", Body=b"x")
            keys = {client.next()["key"] for _ in range(50)}
            expect(len(keys) == 50, keys)


def run(cases, programs):
    with Devnet(programs, 6, accounts=["other:other:other-secret"]) as devnet:
        cases.run("changes of objects are told", lambda: objects(devnet))
        cases.run("versions come, go and come back", lambda: versions(devnet))
        cases.run("who comes back gets what was missed", lambda: coming_back(devnet))
        cases.run("nobody hears more than he may", lambda: rights(devnet))
        cases.run("frames without a mask are refused", lambda: raw_frames(devnet))
        cases.run("connections and messages are bounded", lambda: limits(devnet))
        cases.run("what endangers data is told", lambda: durability(devnet))
    cases.run("two gateways: events", lambda: two_gateways(programs))
    cases.run("events over TLS", lambda: over_tls(programs))
