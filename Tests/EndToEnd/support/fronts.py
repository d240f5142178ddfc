"""Networks in which several peers are gateways of the same account."""

import shutil
import socket

from harness import s3_client, wait_until


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


def is_whole(network):
    """Whether all peers run and no seat of a view is empty."""
    for peer in network.peers:
        if not peer.is_running:
            return False
        tables = peer.status()["tables"]
        if tables["full"] != tables["partitions"]:
            return False
    return True


def client_of(peer, **options):
    """One that tries once: an answer is what the first try got."""
    options.setdefault("retries", {"max_attempts": 0})
    return s3_client("http://" + peer.read("s3"), **options)
