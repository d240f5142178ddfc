"""The end-to-end test: real `cyxpeer` processes, real sockets, real S3 clients.

    run.py --programs .build/release [--only NAME …]
"""

import argparse

import bad_input
import faults
import growth
import losses
import s3_clients
from harness import Cases, Devnet

SUITES = {
    "clients": s3_clients, "losses": losses, "faults": faults, "growth": growth,
    "bad_input": bad_input,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="folder of cyxpeer and cyxcloud")
    parser.add_argument("--only", nargs="*", choices=SUITES, default=list(SUITES))
    options = parser.parse_args()
    cases = Cases()
    for name in options.only:
        print(f"--- {name}", flush=True)
        if name == "clients":
            with Devnet(options.programs, 14) as devnet:
                s3_clients.run(cases, devnet.endpoint, "demo", "demo-secret")
        else:
            SUITES[name].run(cases, options.programs)
    cases.finish()


if __name__ == "__main__":
    main()
