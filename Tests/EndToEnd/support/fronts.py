"""Networks in which several peers are gateways of the same account."""

import shutil
import socket

from harness import Failure, s3_client, wait_until


def free_udp_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def add_peers(network, count, gateways, allocated="4GiB"):
    """Adds `count` peers; the first `gateways` of them serve S3, with the founder's account."""
    founder = network.add()
    wait_until("S3", lambda: client_of(founder).list_buckets(), 20)
    for index in range(1, count):
        roles = []
        if index < gateways:
            folder = network.data / str(index)
            folder.mkdir()
            shutil.copy(founder.folder / "accounts", folder / "accounts")
            roles = ["--roles", "storage,gateway", "--s3-listen", "127.0.0.1:0"]
        network.add("--allocated", allocated, *roles)


def lacks(network):
    """What keeps the network from being whole, a line for each peer that has something to say: all
    should run, and no seat of a view be empty."""
    lines = []
    for index, peer in enumerate(network.peers):
        if not peer.is_running:
            lines.append(f"peer {index} does not run")
            continue
        status = peer.status()
        tables = status["tables"]
        if tables["full"] != tables["partitions"]:
            lines.append(f"peer {index} sees {status.get('peers')} peers, tables {tables}")
    return lines


def wait_until_whole(what, network, limit_s):
    """Waits until no view lacks a member; fails with what it still lacked at last."""
    last = []

    def is_whole():
        last[:] = lacks(network)
        return not last

    try:
        wait_until(what, is_whole, limit_s, poll_s=0.5)
    except Failure as failure:
        raise Failure("\n".join([str(failure), *last])) from failure


def client_of(peer, **options):
    """One that tries once: an answer is what the first try got."""
    options.setdefault("retries", {"max_attempts": 0})
    return s3_client("http://" + peer.read("s3"), **options)
