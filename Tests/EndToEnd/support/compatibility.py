"""clients/s3-compatibility.md: each operation of S3's interface as yes, partly or no, from what was seen.

    compatibility.py --programs .build/release     writes the page anew (`make compatibility`)

`make test` judges its own run in the same way and fails where the page says otherwise.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "clients")]

import boto3  # noqa: E402

from harness import Devnet, expect  # noqa: E402
from s3_scope_cases import OUT_OF_SCOPE, SAME_REQUEST  # noqa: E402

PAGE = HERE.parent / "clients" / "s3-compatibility.md"
# How long the gateway that clients talk to takes a day of lifecycles for.
LIFECYCLE_DAY_S = 4

# What S3's reference has for an operation that is refused or of no effect here.
KEY_SERVICE = "keys of a key service (`aws:kms`) are refused"
CLASSES = "storage classes are labels, and those that need a restore are refused"
MISSING = {
    "CopyObject": f"{KEY_SERVICE}; {CLASSES}",
    "CreateBucket": "regions are labels; no directory buckets",
    "CreateMultipartUpload": f"{KEY_SERVICE}; {CLASSES}",
    "GetBucketAccelerateConfiguration": "always says that there is none",
    "GetBucketLogging": "always says that there is none",
    "GetBucketRequestPayment": "always says that the owner pays",
    "PutBucketEncryption": "AES256 alone",
    "PutBucketLifecycleConfiguration":
        "expirations and unfinished uploads; transitions are refused, as there are no other classes",
    "PutBucketPolicy": "`aws:SourceIp` is a proxy's where there is one",
    "PutBucketVersioning": "no MFA delete",
    "PutObject": f"{KEY_SERVICE}; {CLASSES}; `If-None-Match` takes `*` alone",
}

HEAD = """# S3 compatibility

Which operations of S3's interface the gateway has: all that boto3 {boto3} knows, as the S3 clients of
`make test` and `make test-clients` saw them answered. `make compatibility` writes this page from such a
run; `make test` fails when an operation is not answered as it says here.

- **yes**: answered as S3's reference has it.
- **partly**: the same, but for what stands beside it.
- **no**: answered `NotImplemented`, status 501; every one is asked in the run.

{counts}. Signatures of version 4 and 2, in headers, links and browsers' forms; path and virtual-host
style; any region.
"""


def operations():
    """The names of all of S3's operations."""
    client = boto3.client("s3", region_name="auto", aws_access_key_id="a",
                          aws_secret_access_key="b")
    return sorted(client.meta.service_model.operation_names)


def verdict(operation, record):
    """(answer, cases that show it) of one operation; the answer is `failed` where the run was wrong."""
    asked = record["asked"].get(operation, {})
    if operation in OUT_OF_SCOPE:
        answers = {code for codes in asked.values() for code in codes}
        return ("no" if answers == {"NotImplemented"} else f"failed: {answers or 'not asked'}"), []
    operation = SAME_REQUEST.get(operation, operation)
    asked = record["asked"].get(operation, {})
    shown = sorted(case for case, answers in asked.items() if "ok" in answers)
    failed = [case for case in asked if not record["cases"][case]["passed"]]
    if failed:
        return f"failed: {', '.join(failed)}", shown
    if not shown:
        return "failed: never answered well", shown
    return ("partly" if operation in MISSING else "yes"), shown


def judge(record):
    return {operation: verdict(operation, record) for operation in operations()}


def answers_of_page():
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[2] in ("yes", "partly", "no"):
            found[cells[1]] = cells[2]
    return found


def compare(record):
    """Fails where a run saw other answers than the page has."""
    written = answers_of_page()
    wrong = [
        f"{operation}: {answer}, and the page says {written.get(operation)}"
        for operation, (answer, _) in judge(record).items() if answer != written.get(operation)]
    expect(not wrong, f"not as {PAGE.name} has it (`make compatibility`): {'; '.join(wrong)}")
    return f"{len(written)} operations are answered as {PAGE.name} says"


def page(record, programs):
    judged = judge(record)
    failed = [f"{name}: {answer}" for name, (answer, _) in judged.items() if "failed" in answer]
    expect(not failed, "; ".join(failed))
    counts = [f"{sum(1 for answer, _ in judged.values() if answer == kind)} {kind}"
              for kind in ("yes", "partly", "no")]
    text = HEAD.format(boto3=boto3.__version__, counts=", ".join(counts))
    text += "\n| operation | | what is missing | shown by |\n|---|---|---|---|\n"
    for operation, (answer, shown) in judged.items():
        if answer == "no":
            continue
        more = f" and {len(shown) - 2} more" if len(shown) > 2 else ""
        missing = MISSING.get(SAME_REQUEST.get(operation, operation), "")
        cases = ", ".join(f"`{case}`" for case in shown[:2])
        text += f"| {operation} | {answer} | {missing} | {cases}{more} |\n"
    text += "\n## Not implemented\n\n| operation | |\n|---|---|\n"
    for operation, (answer, _) in judged.items():
        if answer == "no":
            text += f"| {operation} | no |\n"
    text += "\n## What programs ask for\n\nEach ran unmodified; from the gateway's log of the run.\n\n"
    text += "| program | operations |\n|---|---|\n"
    for case, served in sorted(programs["served"].items()):
        note = programs["cases"][case]["note"]
        if programs["cases"][case]["passed"] and note and served:
            text += f"| {case.replace('_', ' ')}: {note} | {', '.join(sorted(served))} |\n"
    return text


def run_clients(script, devnet, folder, *arguments):
    """What a run of a script of cases recorded, and what it printed."""
    path = pathlib.Path(folder) / (pathlib.Path(script).name + ".json")
    done = subprocess.run(
        [sys.executable, HERE.parent / script, "--endpoint", devnet.endpoint, "--record", path,
         "--log", devnet.gateway.folder / "log", *arguments], capture_output=True, text=True)
    print("  " + done.stdout.replace("\n", "\n  ").rstrip(), flush=True)
    expect(done.returncode == 0, done.stderr[-2000:] or "see above")
    return json.loads(path.read_text()), done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    options = parser.parse_args()
    extra = ["--s3-lifecycle-day", f"{LIFECYCLE_DAY_S}s"]
    with tempfile.TemporaryDirectory() as folder:
        with Devnet(options.programs, 6, accounts=["other:other:other-secret"],
                    extra=extra) as devnet:
            record, _ = run_clients(
                "clients/s3_clients.py", devnet, folder, "--lifecycle-day", str(LIFECYCLE_DAY_S))
            programs, _ = run_clients("programs/s3_programs.py", devnet, folder)
    for case in ("aws_cli", "rclone"):
        programs["served"][case] = record["served"].get(case, {})
        programs["cases"][case] = record["cases"][case]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(record, programs))
    print(f"{PAGE}: {len(operations())} operations")


if __name__ == "__main__":
    main()
