"""What the cases asked of the gateway and how it answered: the compatibility page is made from this."""

import collections
import json
import re

REQUEST = re.compile(r"msg=request operation=(\w+) status=(\d+)")


class Record:
    """By operation and case: whether it was answered as asked, ever, and with which errors else."""

    def __init__(self):
        self.case = None
        self.log = None
        # operation -> case -> answers ("ok" or an error's code) -> how often; seen by boto3.
        self.asked = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
        # case -> operation -> how often it went well; as the gateway's log has it.
        self.served = collections.defaultdict(collections.Counter)
        self.cases = {}

    def watched(self, client):
        """The client, with what each of its operations was answered written down."""

        def answered(http_response, parsed, model, **_):
            is_well = http_response.status_code < 300
            code = "ok" if is_well else parsed.get("Error", {}).get("Code", "?")
            self.note(model.name, code)

        client.meta.events.register("after-call.s3", answered)
        return client

    def note(self, operation, answer):
        self.asked[operation][self.case][answer] += 1

    def follow(self, path):
        """Also counts what the gateway's log says from here on."""
        self.log = open(path, errors="replace")
        self.log.seek(0, 2)

    def ended(self, passed, note):
        self.cases[self.case] = {"passed": passed, "note": note or ""}
        for line in self.log or ():
            found = REQUEST.search(line)
            if found and int(found[2]) < 300:
                self.served[self.case][found[1]] += 1

    def write(self, path):
        with open(path, "w") as file:
            json.dump(
                {"asked": self.asked, "served": self.served, "cases": self.cases}, file, indent=1)


RECORD = Record()
