"""Access keys that may do part of what their account may."""

import re
import time

from s3_gateway import case, expect, refused


def created(g, query):
    status, text = g.signed("POST", "/?cyx-keys=&" + query)
    expect(status, 200, "status of " + text)
    found = dict(re.findall("<(Id|Secret)>([^<]*)<", text))
    return g.client(access_key=found["Id"], secret_key=found["Secret"]), found


@case
def limited_keys_reach_what_they_may(g):
    bucket = g.bucket + "-keys"
    g.s3.create_bucket(Bucket=bucket)
    g.s3.put_object(Bucket=bucket, Key="in/a", Body=b"inside")
    g.s3.put_object(Bucket=bucket, Key="out/a", Body=b"outside")
    reader, _ = created(g, "name=reader&bucket=%s&prefix=in%%2F&rights=read" % bucket)
    got = reader.get_object(Bucket=bucket, Key="in/a")
    expect(got["Body"].read(), b"inside", "bytes")
    expect([b["Name"] for b in reader.list_buckets()["Buckets"]], [bucket], "buckets")
    keys = [o["Key"] for o in reader.list_objects_v2(Bucket=bucket, Prefix="in/")["Contents"]]
    expect(keys, ["in/a"], "keys")
    for attempt in (
            lambda: reader.get_object(Bucket=bucket, Key="out/a"),
            lambda: reader.list_objects_v2(Bucket=bucket),
            lambda: reader.put_object(Bucket=bucket, Key="in/b", Body=b""),
            lambda: reader.delete_object(Bucket=bucket, Key="in/a"),
            lambda: reader.copy_object(
                Bucket=bucket, Key="in/c", CopySource={"Bucket": bucket, "Key": "out/a"}),
            lambda: reader.delete_bucket(Bucket=bucket),
            lambda: reader.create_bucket(Bucket=bucket + "-2")):
        with refused("AccessDenied", 403):
            attempt()
    writer, _ = created(g, "name=writer&bucket=%s&rights=write" % bucket)
    writer.put_object(Bucket=bucket, Key="in/b", Body=b"written")
    with refused("AccessDenied", 403):
        writer.get_object(Bucket=bucket, Key="in/b")
    expect(g.s3.get_object(Bucket=bucket, Key="in/b")["Body"].read(), b"written", "written")
    brief, found = created(g, "name=brief&seconds=1")
    brief.head_bucket(Bucket=bucket)
    status, text = g.signed("GET", "/?cyx-keys=")
    expect(re.findall("<Name>([^<]*)<", text), ["brief", "reader", "writer"], "names")
    expect("<Secret>" in text, False, "secrets in the list")
    time.sleep(1.1)
    with refused("InvalidAccessKeyId", 403):
        brief.list_buckets()
    status, text = g.signed("POST", "/?cyx-keys=&name=reader")
    expect((status, "KeyNameExists" in text), (409, True), "the same name again")
    for name in ("brief", "reader", "writer"):
        expect(g.signed("DELETE", "/?cyx-key=" + name)[0], 204, "status")
    with refused("InvalidAccessKeyId", 403):
        reader.list_buckets()
    expect(g.signed("DELETE", "/?cyx-key=reader")[0], 404, "status of none")
    for key in ("in/a", "in/b", "out/a"):
        g.s3.delete_object(Bucket=bucket, Key=key)
    g.s3.delete_bucket(Bucket=bucket)
