"""Numbers at the ends of what integers hold, wherever a request has a number."""

from harness import expect

NUMBERS = [
    "0", "1", "-1", "+1", "-0", "01", "1e3", "1.5", "0x10", " 1", "", "nonsense", "\u0661",
    str((1 << 31) - 1), str(1 << 31), str((1 << 32) - 1), str((1 << 53) + 1), str((1 << 63) - 1),
    str(1 << 63), str(-(1 << 63)), str(-(1 << 63) - 1), str((1 << 64) - 1), str(1 << 64), "9" * 200,
]
RETENTION = (
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>GOVERNANCE</Mode><%s>%s</%s></DefaultRetention></Rule></ObjectLockConfiguration>")
RULE = (
    "<LifecycleConfiguration><Rule><Filter><ObjectSizeGreaterThan>%s</ObjectSizeGreaterThan></Filter>"
    "<Status>Disabled</Status><Expiration><Days>%s</Days></Expiration></Rule></LifecycleConfiguration>")
POLICY = (
    '{"Statement":[{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:GetObjectTorrent",'
    '"Resource":"arn:aws:s3:::%s/*","Condition":{"%s":{"%s":"%s"}}}]}')


class Numbers:
    def __init__(self, target):
        self.target = target
        self.bucket = "/" + target.bucket
        self.key = self.bucket + "/kept"

    def send(self, *arguments, **options):
        answer = self.target.send(*arguments, **options)
        expect(answer.status and answer.status != 500, f"{arguments}: {answer}")
        return answer

    def headers(self):
        for first in NUMBERS:
            for method in ("GET", "HEAD"):
                for value in ("%s-", "-%s", "1-%s", "%s-3", "%s-%s"):
                    value = "bytes=" + value.replace("%s", first)
                    try:
                        value.encode("ascii")
                    except UnicodeEncodeError:
                        continue
                    answer = self.send(method, self.key, "", {"range": value})
                    expect(answer.status in (200, 206, 416), f"{value}: {answer}")
        whole = self.send("GET", self.key, "", {"range": "bytes=1-%d" % ((1 << 64) - 1)})
        expect(whole.status == 206 and whole.data.endswith(b"\r\n\r\nept"), str(whole))

    def queries(self):
        lists = [
            ("", "max-keys"), ("versions=", "max-keys"), ("uploads=", "max-uploads"),
            ("list-type=2", "max-keys")]
        for number in NUMBERS:
            text = "".join("%%%02X" % byte for byte in number.encode())
            for query, name in lists:
                self.send("GET", self.bucket, "&".join(filter(None, [query, f"{name}={text}"])))
            self.send("GET", self.key, f"partNumber={text}")
            self.send("HEAD", self.key, f"partNumber={text}")
            self.send("PUT", self.key, f"partNumber={text}&uploadId=none", {
                "x-amz-copy-source": self.key, "x-amz-copy-source-range": f"bytes=0-{text}"})
            self.send("GET", self.key, f"uploadId=none&max-parts={text}&part-number-marker={text}")
            self.send("POST", "/", f"cyx-keys=&name=n&seconds={text}&bucket=not-there")
            self.target.ask((
                "GET %s?AWSAccessKeyId=demo&Expires=%s&Signature=AAAA HTTP/1.1\r\nHost: h\r\n"
                "Connection: close\r\n\r\n" % (self.key, text)).encode())

    def documents(self):
        client, bucket = self.target.s3, self.target.bucket
        before = client.get_bucket_acl(Bucket=bucket)["Grants"]
        for number in NUMBERS:
            for unit in ("Days", "Years"):
                self.send("PUT", self.bucket, "object-lock=",
                          body=(RETENTION % (unit, number, unit)).encode())
            self.send("PUT", self.bucket, "lifecycle=", body=(RULE % (number, number)).encode())
            self.send("GET", self.key)
            for test, key in (("DateLessThan", "aws:CurrentTime"),
                              ("NumericLessThan", "s3:max-keys")):
                policy = POLICY % (bucket, test, key, number)
                self.send("PUT", self.bucket, "policy=", body=policy.encode())
                self.send("GET", self.bucket)
        client.delete_bucket_lifecycle(Bucket=bucket)
        client.delete_bucket_policy(Bucket=bucket)
        expect(client.get_bucket_acl(Bucket=bucket)["Grants"] == before, "another ACL")


def cases(target):
    numbers = Numbers(target)
    pid = target.devnet.gateway.pid

    def alive(body):
        def run():
            body()
            gateway = target.devnet.gateway
            expect(gateway.is_running and gateway.pid == pid, "the gateway ended")
        return run

    return [
        ("ranges at the ends of integers", alive(numbers.headers)),
        ("numbers in queries", alive(numbers.queries)),
        ("numbers in documents", alive(numbers.documents)),
    ]
