"""A working folder with published marts, a config, and the exporter as a person runs it."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import yaml

import export_audiences
import published
from keyed_hash import read_key

ROOT = Path(__file__).parents[2]


SCRIPT = ROOT / "scripts" / "export_audiences.py"
NOW = "2026-11-22T06:00:00+00:00"
RUN = "20261122T060000Z"
SPECS = yaml.safe_load((ROOT / "destinations.yml").read_text())["destinations"]
DEMO = []
OPEN = dict.fromkeys(("empty", "shrank", "grew", "removed", "quarantined", "suppression_shrank"), "off")


class Shop:
    """One installation in a folder: published.duckdb, destinations.yml, exports/, state/."""

    def __init__(self, folder):
        self.folder = folder
        self.source = folder / "published.duckdb"
        (folder / "state").mkdir()
        (folder / "state" / "key").write_text(published.KEY.hex())
        (folder / "state" / "key").chmod(0o600)
        read_key(folder / "state")
        self.people, self.suppressions = list(published.DEMO), list(published.DEMO_SUPPRESSIONS)
        if not DEMO:  # built once: most tests begin with it
            self.publish()
            DEMO.append(self.source.read_bytes())
        self.source.write_bytes(DEMO[0])
        self.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["first_name", "stage"]}})

    def publish(self, people=None, suppressions=None, **more):
        self.people = self.people if people is None else people
        self.suppressions = self.suppressions if suppressions is None else suppressions
        published.build(self.source, self.people, self.suppressions, **more)

    def configure(self, deliveries, guards=OPEN, specs=SPECS, **settings):
        node = {"settings": {"guards": guards, **settings}, "deliveries": deliveries, "destinations": specs}
        (self.folder / "destinations.yml").write_text(yaml.dump(node, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True))

    def command(self, *words, now=NOW):
        words = list(words)
        if not words or words[0] not in ("run", "ack", "purge", "explain"):
            words.insert(0, "run")
        words += ["--out", "exports", "--state", "state", "--now", now]
        if words[0] in ("run", "explain") and "--from" not in words:
            words += ["--from", str(self.source)]
        return [sys.executable, str(SCRIPT), *words]

    def __call__(self, *words, now=NOW, code=None, env=None, process=False):
        """Run the exporter in this process (quick), or as one of its own. `code` is asserted when given."""
        command = self.command(*words, now=now)
        if process:
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env={**os.environ, **(env or {})},
                                  timeout=300, check=False)
        else:
            done = self.inside(command, env or {})
        if code is not None:
            assert done.returncode == code, f"{done.returncode} instead of {code}\n{done.stdout}\n{done.stderr}"
        return done

    def inside(self, command, env):
        out, err, before = io.StringIO(), io.StringIO(), (os.getcwd(), os.umask(0o077))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        os.umask(before[1])
        os.chdir(self.folder)
        try:
            with mock.patch.dict(os.environ, env), redirect_stdout(out), redirect_stderr(err):
                code = export_audiences.main(command[2:])
        except SystemExit as stop:
            code = stop.code
        finally:
            os.chdir(before[0])
            os.umask(before[1])
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    def json(self, *words, **more):
        return json.loads(self(*words, "--json", **more).stdout)

    def file(self, path, run=RUN):
        """A file of a run; of a list that a delta writes, the added: all of it in the first run."""
        found = self.folder / "exports" / run / path
        added = found.with_name(f"{found.stem}.added{found.suffix}")
        return added if added.exists() and not found.exists() else found

    def tree(self):
        """{path: bytes} of everything below the folder, but the database and lock files."""
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(self.folder.rglob("*"))
                if path.is_file() and path != self.source and path.suffix != ".lock"}


FIELDS = ["first_name", "last_name"]
EVERY = {  # one delivery per destination, as golden files hold it
    "csv": {"channel": "email", "fields": ["person_id", *FIELDS, "language", "last_order_date", "net_revenue", "is_customer"]},
    "parquet": {"channel": "email", "fields": [*FIELDS, "last_order_date", "stage_entered_at", "net_revenue"]},
    "jsonl": {"channel": "email", "fields": [*FIELDS, "last_order_date", "stage_entered_at", "net_revenue"]},
    "hashed_csv": {"channel": "ads", "fields": ["stage"], "salt_env": "TEST_SALT"},
    "klaviyo": {"channel": "email", "fields": [*FIELDS, "phone", {"Lifecycle Stage": "stage"}, {"Entered": "stage_entered_at"}]},
    "klaviyo_sms": {"destination": "klaviyo", "channel": "sms", "fields": FIELDS},
    "mailchimp": {"channel": "email", "fields": [*FIELDS, "audience", "last_order_date", "birth_date"]},
    "braze": {"channel": "email", "fields": [*FIELDS, "country", "city", "region", "language", "time_zone", "phone", "birth_date",
                                             "stage_entered_at"]},
    "braze_push": {"destination": "braze", "channel": "push", "fields": FIELDS},
    "braze_sms": {"destination": "braze", "channel": "sms", "constants": {"subscription_group_id": "6f1a"}},
    "braze_cdi": {"channel": "email", "fields": [*FIELDS, "stage", "net_revenue", "stage_entered_at"]},
    "braze_cdi_sms": {"destination": "braze_cdi", "channel": "sms", "fields": FIELDS, "constants": {"subscription_group_id": "6f1a"}},
    "braze_cdi_files": {"channel": "email", "fields": [*FIELDS, "net_revenue"]},
    "hubspot": {"channel": "email", "fields": [*FIELDS, "country", "city", "phone"]},
    "iterable": {"channel": "email", "fields": [*FIELDS, "stage_entered_at"]},
    "iterable_id": {"destination": "iterable", "channel": "email", "identify_by": "primary_customer_id", "fields": FIELDS},
    "customerio": {"channel": "email", "fields": [*FIELDS, "stage"]},
    "brevo": {"channel": "email", "fields": [*FIELDS, "primary_customer_id", "phone"]},
    "brevo_sms": {"destination": "brevo", "channel": "sms", "fields": [*FIELDS, {"EMAIL": "email"}]},
    "activecampaign": {"channel": "email", "fields": [*FIELDS, "audience", "last_order_date", "stage_entered_at"]},
    "salesforce_marketing_cloud": {"channel": "sms", "fields": FIELDS},
    "salesforce_email": {"destination": "salesforce_marketing_cloud", "channel": "email", "fields": [*FIELDS, "phone"]},
    "sendgrid": {"channel": "email", "fields": FIELDS},
    "omnisend": {"channel": "email", "fields": [*FIELDS, "country", "postal_code", "birth_date", "gender", "audience"]},
    "omnisend_sms": {"destination": "omnisend", "channel": "sms", "fields": FIELDS},
    "meta": {"channel": "ads", "fields": [*FIELDS, "city", "region", "postal_code", "country", "gender", "birth_date", "net_revenue"]},
    "google": {"channel": "ads", "fields": [*FIELDS, "country", "postal_code"], "attest": ["ad_user_data", "ad_personalization"]},
    "tiktok": {"channel": "ads"},
    "linkedin": {"channel": "ads", "fields": [*FIELDS, "country"]},
    "snapchat": {"channel": "ads"},
    "snapchat_phones": {"destination": "snapchat", "channel": "ads", "identify_by": "phone"},
}
EVERY = {name: {**given, "audiences": ["at_risk", "champions"]} for name, given in EVERY.items()}
