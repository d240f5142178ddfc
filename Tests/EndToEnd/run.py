"""The end-to-end test: real `cyxpeer` processes, real sockets, real S3 clients.

    run.py --programs .build/release [--only NAME …]
"""

import argparse
import re
import subprocess
import sys
import tempfile

import bad_input
import faults
import growth
import hostile
import linearizability
import recovery
import upkeep
from collection import leases, losses, packs, pins
from edges import events, tls
from gateways import datasets, grants, sealed, together
from harness import Cases, Devnet, expect
from partitions import splits
from support import compatibility

SUITES = {
    "losses": losses, "faults": faults, "growth": growth, "bad_input": bad_input,
    "hostile": hostile, "hostile-tls": hostile.OverTLS,
    "linearizability": linearizability, "recovery": recovery, "upkeep": upkeep,
    "together": together, "grants": grants, "sealed": sealed, "pins": pins, "packs": packs,
    "leases": leases, "splits": splits, "tls": tls, "events": events, "datasets": datasets,
}

# Minutes of waiting each, for what changes seldom: `make long-end-to-end`.
LONG = ("leases", "splits")

# Do little but wait, for a minute or more: they run beside the others, each in a process of its own.
WAITING = ("pins",)


def start_beside(name, programs):
    """The suite in another process, and the file that its output goes to."""
    output = tempfile.TemporaryFile("w+")
    command = [sys.executable, __file__, "--programs", programs, "--only", name]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output


def take_in(cases, process, output):
    """Prints what a suite that ran beside the others had to say, and counts its cases."""
    process.wait()
    output.seek(0)
    *lines, last = output.read().splitlines() or [""]
    print("\n".join(lines), flush=True)
    counts = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
    if counts:
        cases.passed += int(counts[1])
        cases.failed += int(counts[2])
    else:
        print(f"FAIL the suite ended with {process.returncode}: {last}", flush=True)
        cases.failed += 1


def drive_clients(devnet, records):
    """boto3, awscli and rclone, unmodified; the script prints a line for each of its cases."""
    with tempfile.TemporaryDirectory() as folder:
        record, printed = compatibility.run_clients(
            "clients/s3_clients.py", devnet, folder, "--lifecycle-day",
            str(compatibility.LIFECYCLE_DAY_S))
    records.append(record)
    return printed.splitlines()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="folder of cyxpeer and cyxcloud")
    parser.add_argument("--only", nargs="*", choices=["clients", *SUITES],
                        default=["clients", *(name for name in SUITES if name not in LONG)])
    options = parser.parse_args()
    cases = Cases()
    waiting = [name for name in options.only if name in WAITING and len(options.only) > 1]
    beside = [start_beside(name, options.programs) for name in waiting]
    for name in options.only:
        if name in waiting:
            continue
        print(f"--- {name}", flush=True)
        if name == "clients":
            accounts = ["other:other:other-secret"]
            extra = ["--s3-lifecycle-day", "%ds" % compatibility.LIFECYCLE_DAY_S]
            with Devnet(options.programs, 14, accounts=accounts, extra=extra) as devnet:
                records = []
                cases.run("S3 clients, unmodified", lambda: drive_clients(devnet, records))
            for record in records:
                cases.run("S3 as the compatibility page has it",
                          lambda record=record: compatibility.compare(record))
        else:
            SUITES[name].run(cases, options.programs)
    for process, output in beside:
        take_in(cases, process, output)
    cases.finish()


if __name__ == "__main__":
    main()
