"""The end-to-end test: real `cyxpeer` processes, real sockets, real S3 clients.

    run.py --programs .build/release [--only NAME …]
"""

import argparse
import pathlib
import subprocess
import sys

import bad_input
import faults
import growth
import linearizability
import recovery
import tls
import upkeep
from collection import leases, losses, pins
from gateways import together
from harness import Cases, Devnet, expect
from partitions import splits

SUITES = {
    "losses": losses, "faults": faults, "growth": growth, "bad_input": bad_input,
    "linearizability": linearizability, "recovery": recovery, "upkeep": upkeep,
    "together": together, "pins": pins, "leases": leases, "splits": splits, "tls": tls,
}

# Minutes of waiting each, for what changes seldom: `make long-end-to-end`.
LONG = ("leases", "splits")

# How long the gateway that clients talk to takes a day of lifecycles for.
LIFECYCLE_DAY_S = 4


def drive_clients(endpoint):
    """boto3, awscli and rclone, unmodified; the script prints a line for each of its cases."""
    script = pathlib.Path(__file__).with_name("clients") / "s3_clients.py"
    done = subprocess.run(
        [sys.executable, script, "--endpoint", endpoint, "--lifecycle-day", str(LIFECYCLE_DAY_S)],
        capture_output=True, text=True)
    print("  " + done.stdout.replace("\n", "\n  ").rstrip(), flush=True)
    expect(done.returncode == 0, done.stderr[-2000:] or "see above")
    return done.stdout.splitlines()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="folder of cyxpeer and cyxcloud")
    parser.add_argument("--only", nargs="*", choices=["clients", *SUITES],
                        default=["clients", *(name for name in SUITES if name not in LONG)])
    options = parser.parse_args()
    cases = Cases()
    for name in options.only:
        print(f"--- {name}", flush=True)
        if name == "clients":
            accounts = ["other:other:other-secret"]
            extra = ["--s3-lifecycle-day", "%ds" % LIFECYCLE_DAY_S]
            with Devnet(options.programs, 14, accounts=accounts, extra=extra) as devnet:
                cases.run("S3 clients, unmodified", lambda: drive_clients(devnet.endpoint))
        else:
            SUITES[name].run(cases, options.programs)
    cases.finish()


if __name__ == "__main__":
    main()
