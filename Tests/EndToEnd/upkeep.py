"""What an operator sees and does: where data lies, repair, audits, and the trash of deleted data."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import yaml

from harness import MIB, Devnet, Failure, expect, random_bytes, wait_until

# 7 peers: rs(4,2), and one to spare.
PEERS = 7
MONITORING = pathlib.Path(__file__).parents[2] / "docker" / "monitoring"

# The beginnings of lines that every storage peer has in its metrics.
PROMISED = [
    *(f"cyxcloud_{name} " for name in (
        "network_healthy", "network_available", "network_survives_losses",
        "store_allocated_bytes", "store_free_bytes", "store_shards", "store_scrub_progress_ratio",
        "store_write_duration_seconds_count", "store_read_duration_seconds_count",
        "table_partitions", "table_view_changes_total", "table_sync_lag_seconds",
        "table_cas_conflicts_total", "repair_queue_segments", "repair_bytes_total",
        "repair_window_seconds_count")),
    *(f'cyxcloud_store_used_bytes{{kind="{kind}"}} ' for kind in ("shards", "trash")),
    *(f'cyxcloud_store_corrupt_shards_total{{found_by="{by}"}} ' for by in ("read", "scrub")),
    'cyxcloud_disk_free_bytes{volume="data"} ',
    *(f'cyxcloud_table_operations_total{{op="{op}",result="{result}"}} '
      for op in ("read", "update", "read_merge", "merge", "scan")
      for result in ("done", "unavailable", "contended", "rejected")),
    *(f'cyxcloud_table_operation_duration_seconds_count{{op="{op}"}} '
      for op in ("read", "update", "read_merge", "merge", "scan")),
    *(f'cyxcloud_segments{{health="{health}"}} '
      for health in ("full", "degraded", "at_risk", "lost")),
    *(f'cyxcloud_audit_challenges_total{{result="{result}"}} '
      for result in ("pass", "wrong", "unknown", "offline")),
    *(f'cyxcloud_audit_score_ratio{{track="{track}"}} '
      for track in ("wrong", "unknown", "offline")),
]
SIZES = [100_000, 3 * MIB, 12 * MIB]


class Upkeep:
    def __init__(self, devnet):
        self.devnet = devnet
        self.client = devnet.s3()

    def command(self, *words, peer=0, code=0, as_json=True):
        """Runs `cyxcloud` against one peer's admin API; its JSON lines, or its text."""
        done = subprocess.run(
            [self.devnet.programs / "cyxcloud", *words, "--data-dir",
             self.devnet.peer(peer).folder, *(["--json"] if as_json else [])],
            capture_output=True, text=True, timeout=60)
        expect(done.returncode == code,
               f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()] if as_json else done.stdout

    def result(self, *words, **options):
        return self.command(*words, **options)[-1]["result"]

    def store(self):
        self.client.create_bucket(Bucket="upkeep")
        for size in SIZES:
            self.client.put_object(
                Bucket="upkeep", Key=f"a b/ü-{size}", Body=random_bytes(size, size))
        self.client.put_object(Bucket="upkeep", Key="tiny", Body=b"tiny")
        self.devnet.wait_repaired()

    def show_places(self):
        lines = self.command("where", f"upkeep/a b/ü-{SIZES[0]}")
        expect(len(lines) == 2, f"{len(lines)} lines for one segment")
        holders = lines[0]["holders"]
        expect(len({holder["peer"] for holder in holders}) == 6, f"holders: {holders}")
        expect(all(holder["alive"] for holder in holders), f"holders: {holders}")
        expect(lines[1]["result"]["survives"] == 2, f"{lines[1]}")
        tiny = self.result("where", "upkeep/tiny")
        expect(tiny["segments"] == 0 and tiny["survives"] is None, f"{tiny}")
        self.command("where", "upkeep/none", code=1)
        self.command("where", "upkeep", code=2)
        text = self.command("where", f"upkeep/a b/ü-{SIZES[0]}", as_json=False)
        expect("survives 2 more losses" in text, text)

    def show_status(self):
        text = self.command("status", as_json=False)
        for word in ("data 2, rows 2", "views     up to epoch", " trash, "):
            expect(word in text, f"no `{word}` in:\n{text}")

    def order_repair(self):
        before = self.result("repair", "status")
        expect(before["queue"] == 0 and not before["paused"], f"{before}")
        expect(before["throttle"] is None, f"{before}")
        expect(self.result("repair", "pause")["paused"], "not paused")
        expect(self.result("repair", "throttle", "10MiB")["throttle"] == 10 * MIB, "no throttle")
        text = self.command("repair", "status", as_json=False)
        expect("paused" in text and "10.0 MiB/s" in text, text)
        expect(not self.result("repair", "pause", "--resume")["paused"], "still paused")
        expect(self.result("repair", "throttle", "off")["throttle"] is None, "still throttled")
        expect(self.result("repair", "now")["lost"] == 0, "something is lost")
        self.command("repair", "throttle", "fast", code=2)
        self.command("repair", code=2)

    def audit(self):
        """All peers together watch every shard; whoever watches none says so."""
        total = 0
        for peer in range(PEERS):
            result = self.result("audit", "run", "--sample", "50", peer=peer)
            expect(set(result) <= {"audits", "pass"}, f"peer {peer}: {result}")
            expect(result["audits"] == result.get("pass", 0), f"peer {peer}: {result}")
            log = self.command("audit", "log", peer=peer)
            passed = [line for line in log if line.get("result") == "pass"]
            expect(len(passed) >= result["audits"], f"peer {peer}: {len(passed)} in the log")
            total += result["audits"]
        expect(total >= 12, f"{total} audits of 18 shards")
        scores = self.command("audit", "score")
        expect(scores[-1]["result"]["peers"] == PEERS, f"{scores[-1]}")
        expect(all(line["standing"] == "good" for line in scores[:-1]), f"{scores}")
        return f"{total} audits"

    def stores(self):
        stores = [peer.status()["store"] for peer in self.devnet.peers]
        for store in stores:
            expect(store["used"] + store["trash"] + store["free"] == store["allocated"], f"{store}")
        return sum(s["used"] for s in stores), sum(s["trash"] for s in stores)

    def delete(self):
        """What is deleted goes to the trash, and from there; the books balance all the time."""
        used, trash = self.stores()
        expect(used > sum(SIZES) and trash == 0, f"used {used}, trash {trash}")
        for size in SIZES:
            self.client.delete_object(Bucket="upkeep", Key=f"a b/ü-{size}")
        most = 0
        deadline = time.monotonic() + 90
        while True:
            left, trash = self.stores()
            most = max(most, trash)
            if (left, trash) == (0, 0):
                break
            if time.monotonic() > deadline:
                raise Failure(f"used {left}, trash {trash} after 90 s")
            time.sleep(0.2)
        expect(most == used, f"{most} of {used} bytes were seen in the trash")

    def export_metrics(self):
        """Every peer exports what is promised, and all that the alerts and the dashboard ask for."""
        time.sleep(6)  # the status becomes metrics every 5 s
        texts = [self.devnet.peer(index).admin("/metrics") for index in (0, 3)]
        for text in texts:
            missing = [line for line in PROMISED if f"\n{line}" not in text]
            expect(not missing, f"not exported: {missing}")
        names = set(re.findall(r"^# TYPE (\S+)", "\n".join(texts), re.MULTILINE))
        rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
        board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
        expect(len({panel["id"] for panel in board["panels"]}) == len(board["panels"]), "panel IDs")
        expressions = [rule["expr"] for rule in rules] + [
            target["expr"] for panel in board["panels"] for target in panel["targets"]]
        for expression in expressions:
            for name in re.findall(r"\b(?:cyxcloud|process)_\w+", expression):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                expect(name in names or base in names, f"nobody exports {name}: {expression}")
        yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
        return f"{len(names)} metrics, {len(rules)} alerts, {len(board['panels'])} panels"

    def end_and_return(self):
        """Who is told to end is waited for: 5 s at most, then it is missed like any other."""
        peer, witness = self.devnet.peer(PEERS - 1), self.devnet.peer(1)

        def wait_for(state, limit_s):
            begun = time.monotonic()
            wait_until(f"a peer to be {state}", lambda: witness.status()["peers"][state] == 1,
                       limit_s, poll_s=0.05)
            return time.monotonic() - begun

        peer.kill(signal.SIGTERM)
        wait_for("away", 2)
        peer.restart()
        wait_until("its return", lambda: witness.status()["peers"]["alive"] == PEERS, 10)
        expect(witness.status()["peers"]["dead"] == 0, "it was taken for dead")
        peer.kill(signal.SIGTERM)
        wait_for("away", 2)
        missed_s = wait_for("dead", 20)
        peer.restart()
        return f"missed {missed_s:.1f} s after it ended for good"

    def put_back(self):
        """A peer whose stores come from an older copy has forgotten what it promised since."""
        victim = self.devnet.peer(PEERS - 2)
        stores = [victim.folder / name for name in ("shards", "tables")]
        bodies = {}

        def write(count):
            for _ in range(count):
                key = f"restored/{len(bodies)}"
                bodies[key] = random_bytes(20_000, key)
                self.client.put_object(Bucket="upkeep", Key=key, Body=bodies[key])

        self.devnet.wait_repaired()
        write(5)
        victim.kill()
        copies = [shutil.copytree(path, path.with_name(f"{path.name}-copy")) for path in stores]
        victim.restart()
        # Its store goes on, and the others hear of it: a mark every 5 s in a devnet.
        for _ in range(12):
            write(5)
            time.sleep(1)
        victim.kill()
        for path, copy in zip(stores, copies):
            shutil.rmtree(path)
            copy.rename(path)
        log_before = len(victim.read("log"))
        victim.restart()
        wait_until("STORE-13", lambda: "STORE-13" in victim.read("log")[log_before:], 20)
        self.devnet.wait_repaired()
        # It knows that after a restart, too, when nobody else remembers.
        victim.kill()
        log_before = len(victim.read("log"))
        victim.restart()
        wait_until("STORE-13 again", lambda: "STORE-13" in victim.read("log")[log_before:], 10)
        victim.kill()
        for path in stores:
            shutil.rmtree(path)
        (victim.folder / "store-record").unlink(missing_ok=True)
        victim.restart()

        def is_used():
            write(5)
            return victim.status()["store"]["used"] > 0

        wait_until("its return", is_used, 60, poll_s=1)
        self.devnet.wait_repaired()
        for key, body in bodies.items():
            read = self.client.get_object(Bucket="upkeep", Key=key)["Body"].read()
            expect(read == body, f"{key} came back different")
        return f"{len(bodies)} objects meanwhile"


def run(cases, programs):
    with Devnet(programs, PEERS) as devnet:
        upkeep = Upkeep(devnet)
        cases.run("objects are stored on 7 peers", upkeep.store)
        cases.run("`cyxcloud where` names the holders", upkeep.show_places)
        cases.run("`cyxcloud status` shows views and what is survived", upkeep.show_status)
        cases.run("`cyxcloud repair` shows and takes orders", upkeep.order_repair)
        cases.run("`cyxcloud audit` finds every shard in place", upkeep.audit)
        cases.run("deleted data goes through the trash", upkeep.delete)
        cases.run("metrics, alerts and dashboard agree", upkeep.export_metrics)
        cases.run("who is told to end is waited for, and not for long", upkeep.end_and_return)
        cases.run("a store put back from an older copy is noticed and not used", upkeep.put_back)
