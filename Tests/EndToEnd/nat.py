"""Two real peers behind two real NATs, and a public one: who reaches whom how.

    nat.py --programs .build/release

Network namespaces with veth pairs stand for machines, nftables masquerades. The two houses use the
same private addresses, as houses do. Needs no privilege where user namespaces are allowed: each case
runs in namespaces of its own, and nothing outside them is touched.

    house a           the internet, 11.0.0.0/8           house b
    a 192.168.1.2 -- nat 11.0.1.1 --+-- 11.0.2.1 nat -- 192.168.1.2 b
                                    +-- 11.0.0.1 public, relay
"""

import argparse
import contextlib
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import Cases, Peer, expect, random_bytes, s3_client, wait_until

PUBLIC = "11.0.0.1"
OUTSIDE = {"a": "11.0.1.1", "b": "11.0.2.1"}
CLONE_NEWNET = 0x40000000
OBJECT_BYTES = 3 << 20


def sh(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    expect(done.returncode == 0, f"{command}: {done.stderr.strip()}")
    return done.stdout


def namespaces():
    """The words before a command that may make networks; skips where that is not allowed."""
    for tool in ("ip", "nft", "unshare"):
        if not shutil.which(tool):
            print(f"skipped: there is no `{tool}` (Debian packages iproute2, nftables, util-linux)")
            sys.exit(0)
    for way in (["--user", "--map-root-user", "--net", "--mount"], ["--net", "--mount"]):
        probe = ["unshare", *way, "nft", "add", "table", "ip", "probe"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return ["unshare", *way]
    print("skipped: making network namespaces with NAT rules is not allowed here; run as root, or "
          "allow user namespaces")
    sys.exit(0)


@contextlib.contextmanager
def inside(namespace):
    """This process's sockets are those of `namespace` meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as own, open(f"/run/netns/{namespace}") as other:
        expect(libc.setns(other.fileno(), CLONE_NEWNET) == 0, f"cannot enter {namespace}")
        try:
            yield
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)


class House:
    """A namespace for the machine and one for its router."""

    def __init__(self, name, masquerade):
        self.machine, self.router = f"m{name}", f"r{name}"
        outside = OUTSIDE[name]
        others = OUTSIDE["b" if name == "a" else "a"]
        for namespace in (self.machine, self.router):
            sh(f"ip netns add {namespace} && ip -n {namespace} link set lo up")
        sh(f"ip link add name in{name} netns {self.router} type veth "
           f"peer name eth0 netns {self.machine}")
        sh(f"ip link add name out{name} netns {self.router} type veth peer name port{name}")
        sh(f"ip link set port{name} master internet up")
        sh(f"ip -n {self.machine} address add 192.168.1.2/24 dev eth0")
        sh(f"ip -n {self.router} address add 192.168.1.1/24 dev in{name}")
        sh(f"ip -n {self.router} address add {outside}/8 dev out{name}")
        sh(f"ip -n {self.machine} link set eth0 up")
        sh(f"ip -n {self.router} link set in{name} up; ip -n {self.router} link set out{name} up")
        sh(f"ip -n {self.machine} route add default via 192.168.1.1")
        sh(f"ip netns exec {self.router} sysctl -qw net.ipv4.ip_forward=1")
        # What nobody inside has asked for is dropped at the router, as home routers do. (One that
        # answers such packets itself keeps a conntrack entry that takes the port away from a peer
        # which sends there a moment later.)
        rules = f"""
            table ip house {{
                counter direct {{ }}
                chain gate {{
                    type filter hook input priority 0; policy accept;
                    iifname "out{name}" ct state new drop
                }}
                chain pass {{
                    type filter hook forward priority 0; policy accept;
                    ip saddr {others} counter name direct
                    ip daddr {others} counter name direct
                }}
                chain blocked {{
                    type filter hook forward priority 1; policy accept;
                }}
                chain masks {{
                    type nat hook postrouting priority 100; policy accept;
                    oifname "out{name}" {masquerade}
                }}
            }}"""
        self.nft("-f -", rules)
        self.others = others

    def nft(self, words, text=None):
        done = subprocess.run(f"ip netns exec {self.router} nft {words}", shell=True, input=text,
                              capture_output=True, text=True)
        expect(done.returncode == 0, f"nft {words}: {done.stderr}")
        return done.stdout

    def direct_bytes(self):
        """What has passed between the two houses without anyone in the middle."""
        return int(re.search(r"bytes (\d+)", self.nft("list counter ip house direct")).group(1))

    def block(self):
        for side in ("saddr", "daddr"):
            self.nft(f"add rule ip house blocked ip {side} {self.others} drop")


class NATPeer(Peer):
    """A peer in a namespace."""

    def __init__(self, folder, namespace, command):
        super().__init__(folder)
        self.namespace = namespace
        self.command = ["ip", "netns", "exec", namespace, *map(str, command)]
        self.folder.mkdir(parents=True)
        self.restart()

    def admin(self, path):
        with inside(self.namespace):
            return super().admin(path)

    def metric(self, name):
        """The value of a metric with its labels as they are written; 0 if it is not there."""
        for line in self.admin("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


class Scene:
    """Two houses whose routers masquerade in one way, and the peers."""

    def __init__(self, programs):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="cyx-nat-"))
        self.program = pathlib.Path(programs).resolve() / "cyxpeer"
        self.houses = {}
        self.peers = {}
        self.stored = 0

    def build(self, masquerade):
        sh("mount -t tmpfs none /run && mkdir -p /run/netns")
        sh("ip link add internet type bridge && ip link set internet up")
        sh("ip netns add public && ip -n public link set lo up")
        sh("ip link add name portp type veth peer name eth0 netns public")
        sh("ip link set portp master internet up")
        sh(f"ip -n public address add {PUBLIC}/8 dev eth0 && ip -n public link set eth0 up")
        self.houses = {name: House(name, masquerade) for name in OUTSIDE}
        key = self.data / "key"
        key.write_text("42" * 32)
        common = ["--network-key", key, "--profile", "devnet", "--allocated", "1GiB",
                  "--admin-listen", "127.0.0.1:0",
                  "--own-ranges", "11.0.0.0/8"]

        def start(name, namespace, *more):
            folder = self.data / name
            self.peers[name] = NATPeer(
                folder, namespace,
                [self.program, "--data-dir", folder, "--zone", name, *common, *more])

        start("public", "public", "--roles", "storage,relay", "--listen", f"{PUBLIC}:7700",
              "--relay-rate", "32MiB")
        for name, roles in (("a", "storage,gateway"), ("b", "storage")):
            start(name, f"m{name}", "--roles", roles, "--bootstrap", f"{PUBLIC}:7700",
                  "--listen", "0.0.0.0:7700",
                  *(["--s3-listen", "127.0.0.1:0", "--access-key", "demo",
                     "--secret-key", "demo-secret"] if name == "a" else []))
        wait_until("three members", self.has_converged, 60)

    def has_converged(self):
        return all(peer.status()["peers"]["alive"] == 3 for peer in self.peers.values())

    def relayed_bytes(self):
        return int(self.peers["public"].metric("cyxcloud_relay_carried_bytes_total"))

    def direct_bytes(self):
        return self.houses["a"].direct_bytes()

    def paths(self, name):
        """What became of a peer's ways to others, as its log says."""
        lines = (self.data / name / "log").read_text().splitlines()
        steps = [re.search(r'"path (found|lost)" peer=(\w{8})\w+ path=(\w+)', line)
                 for line in lines]
        told = [f"to {step[2]} {step[3]} {step[1]}" for step in steps if step]
        return ", ".join(told) or "no search"

    def show(self):
        for name in OUTSIDE:
            print(f"  {name}: {self.seen(name)}; {self.paths(name)}", flush=True)

    def store(self, seed):
        """Puts an object through a's gateway, which keeps a copy at each peer, and reads it."""
        content = random_bytes(OBJECT_BYTES, seed)
        with inside(self.peers["a"].namespace):
            client = s3_client("http://" + self.peers["a"].read("s3"))
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="nat")
            client.put_object(Bucket="nat", Key=f"object{seed}", Body=content)
            body = client.get_object(Bucket="nat", Key=f"object{seed}")["Body"].read()
        expect(body == content, "the object came back changed")

    def store_until(self, way_bytes, what):
        """Stores objects until one has gone a way whose bytes `way_bytes` counts; returns how many
        bytes went. A write is acknowledged by two of three peers and does not wait long for the
        third, whose copy may then come from the public peer: the first need not be the one."""
        before = way_bytes()

        def has_gone():
            self.stored += 1
            self.store(self.stored)
            bytes = way_bytes() - before
            return bytes if bytes > OBJECT_BYTES else None

        return wait_until(what, has_gone, 90)

    def seen(self, name):
        """Where a peer says that others find it."""
        lines = [line for line in (self.data / name / "log").read_text().splitlines()
                 if "msg=reachable" in line]
        return lines[-1].split("msg=reachable", 1)[1].strip() if lines else "says nothing"

    def end(self):
        """Ends the peers; the networks go with the namespaces."""
        for peer in self.peers.values():
            peer.end()
        shutil.rmtree(self.data, ignore_errors=True)


@contextlib.contextmanager
def scene(programs, masquerade):
    made = Scene(programs)
    try:
        made.build(masquerade)
        yield made
    except BaseException:
        for name, peer in made.peers.items():
            print(f"--- log of {name}:\n{peer.log_tail(25)}", flush=True)
        raise
    finally:
        made.end()


def opened(programs):
    """NATs that keep ports are opened; then the direct way is cut."""
    with scene(programs, "masquerade") as world:
        wait_until("a direct path", lambda: world.direct_bytes() > 10_000, 30)
        world.show()
        relayed = world.relayed_bytes()
        direct = world.store_until(world.direct_bytes, "an object to go directly")
        meanwhile = world.relayed_bytes() - relayed
        expect(meanwhile == 0, f"the relay carried {meanwhile} bytes beside the direct path")
        print(f"  {direct} bytes between the houses, 0 meanwhile and {relayed} before at the relay",
              flush=True)
        for house in world.houses.values():
            house.block()
        wait_until("the relay to carry", lambda: world.relayed_bytes() > relayed, 60)
        wait_until("three members again", world.has_converged, 60)
        world.show()
        carried = world.store_until(world.relayed_bytes, "an object to go over the relay")
        return (f"direct with {direct} bytes between the houses and 0 at the relay; after that way "
                f"was cut {carried} at the relay")


def relayed(programs):
    """NATs with a random port for each destination cannot be opened: a relay carries."""
    with scene(programs, "masquerade random,fully-random") as world:
        wait_until("the relay to carry", lambda: world.relayed_bytes() > 10_000, 60)
        world.show()
        carried = world.store_until(world.relayed_bytes, "an object to go over the relay")
        direct = world.direct_bytes()
        expect(direct < 100_000, f"{direct} bytes went directly")
        return f"{carried} bytes at the relay, {direct} (openers) between the houses"


CASES = {
    "opened": ("two NATs that keep ports: direct", opened),
    "relayed": ("two NATs with random ports: relayed", relayed),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="folder of cyxpeer")
    parser.add_argument("--inside", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print("  " + CASES[options.inside][1](options.programs))
        return
    cases = Cases()
    way = namespaces()
    for case, (name, _) in CASES.items():

        def run(case=case):
            done = subprocess.run([*way, sys.executable, __file__, "--programs", options.programs,
                                   "--inside", case], timeout=300)
            expect(done.returncode == 0, "see above")

        cases.run(name, run)
    cases.finish()


if __name__ == "__main__":
    main()
