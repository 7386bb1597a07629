"""A production by itself: real artifacts, sshd and systemd, an emulated cloud, a replaced machine.

The supervisor is enrolled, stopped in a run, fails, sweeps, is deleted in a run and made again, and
takes over another release; no secret is anywhere but in its file.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes import own_systemd
from fakes.own_supervisor import OwnSupervisor
from fakes.rented import Rented
from fakes.s3 import KEY, SECRET, S3Server
from fakes.webhook import WebhookServer
from fakes.workshop import Workshop, wait_until
from materia_testing.emulation.ssh_machines import sandbox

WHY_NOT = own_systemd.why_not() or sandbox.why_not()
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(bool(WHY_NOT), reason=str(WHY_NOT)),
]
PYTHON = f"3.{sys.version_info.minor}"
HERE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
KEYS = {"MATERIA_ARTIFACTS_KEY_ID": KEY, "MATERIA_ARTIFACTS_KEY_SECRET": SECRET}
MODELS = """
from pathlib import Path
from materia_sqlmesh.project import project_config, source_project

folder = Path(__file__).parent
config = project_config(folder, beside=source_project(folder))
"""
RUN, SWEEP, UPDATE = (f"materia-psdonline-{what}.service" for what in ("run", "sweep", "update"))


class SourceServer:
    """The source's server, which answers nothing while `hangs` is set, and else refuses."""

    def __init__(self) -> None:
        self.asked, self.hangs = threading.Event(), threading.Event()
        self.ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.set()
                if outer.hangs.is_set():
                    outer.ended.wait()
                with suppress(OSError):  # who asked may be gone
                    self.send_error(403)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class Production:
    """A pipeline, its bucket, its cloud, its webhooks, and the supervisor of the moment."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.server, self.source = S3Server(), SourceServer()
        self.bucket = self.server.new_bucket()
        self.runs, self.sweeps = WebhookServer(), WebhookServer()
        workshop = Workshop(folder)
        workshop.write("models/config.py", MODELS)
        workshop.write("models/models/kept.sql", "MODEL (name serving.kept); SELECT 1 AS one")
        self.rented = Rented(workshop, ["hetzner"], cache=cache)
        self.secrets = {
            **KEYS,
            **self.rented.clouds["hetzner"].secrets(),
            "MATERIA_RUN_WEBHOOK": self.runs.address,
            "MATERIA_SWEEP_WEBHOOK": self.sweeps.address,
        }
        self.write()
        self.machine: OwnSupervisor | None = None

    def write(self, provider: str = '"hetzner"') -> None:
        self.rented.write(
            f"provider = {provider}\n"
            '[schedule]\nrun = "*-*-* 03:00 UTC"\nsweep = 600\n'
            "[notify]\nruns = true\nsweeps = true\n"
            '[transform]\nproject = "models"\n'  # a folder, which the supervisor does not have
            f'[sources.psdonline]\nbase_url = "{self.source.address}"\n'
            f'[artifacts]\nbucket = "s3://{self.bucket}/m"\nendpoint = "{self.server.endpoint}"\n'
            'channel = "prod"\nown_key = true\n'
        )

    def do(self, *arguments: str) -> str:
        done = self.rented.run(*arguments, **self.secrets)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def push(self) -> str:
        """The ID of the release."""
        targets = ("--python", PYTHON, "--arch", HERE)
        pushed = self.do("artifact", "push", "--channel", "prod", *targets, "--json")
        return str(json.loads(pushed)["id"])

    def enroll(self, name: str) -> OwnSupervisor:
        """Make a supervisor and enroll it, as a person does."""
        self.machine = machine = OwnSupervisor(self.folder / name)
        key = self.folder / f"{name}.key"
        key.write_text(machine.target.key.private)
        key.chmod(0o600)
        port = ("--port", str(machine.target.port))
        host_key = ("--host-key", machine.target.host_key)
        self.do("schedule", "enroll", "127.0.0.1", *port, "--key", str(key), *host_key)
        return machine

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        assert self.machine is not None
        return self.machine.systemd.systemctl(*arguments)

    def start_a_run(self) -> None:
        """Start a run that stays in its first stage, on a rented machine."""
        self.source.asked.clear()
        self.source.hangs.set()
        self.systemctl("start", "--no-block", RUN)
        assert self.source.asked.wait(240), self.journal()
        assert self.rented.left() != []

    def there(self, *arguments: str) -> Any:
        """What a command on the supervisor says, by the user of its runs."""
        assert self.machine is not None
        release = (self.machine.root() / "opt/materia/current").readlink()
        variables = {
            "MATERIA_STATE_DIR": "/var/lib/materia",
            "PYTHONPATH": f"{release}/lib",
            "PATH": f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin",
        }
        done = self.machine.systemd.inside(
            *("/usr/sbin/runuser", "-u", "materia", "--", "/usr/bin/env", "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *("python3", "-P", "-m", "materia_runner", *arguments, "--json"),
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def journal(self) -> str:
        assert self.machine is not None
        journal = self.machine.systemd.inside("/usr/bin/journalctl", "--no-pager", "--quiet")
        return journal.stdout

    def age(self, run: str) -> None:
        """Let sixteen minutes pass since the last sign of life of a run."""
        key = f"m/ledger/psdonline/{run}.json"
        copy = json.loads(self.server.content(self.bucket, key))
        then = datetime.fromisoformat(copy["alive_at"]) - timedelta(minutes=16)
        body = json.dumps({**copy, "alive_at": then.isoformat()})
        self.server.client().put_object(Bucket=self.bucket, Key=key, Body=body)

    def close(self) -> None:
        if self.machine is not None:
            self.machine.close()
        for one in (self.source, self.server, self.runs, self.sweeps):
            one.close()
        self.rented.__exit__()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    made = Production(tmp_path_factory.mktemp("production"), cache)
    try:
        made.push()
        made.enroll("first")
        yield made
    finally:
        made.close()


def stop_a_run(production: Production) -> None:
    """The machine is gone before the unit is dead."""
    production.start_a_run()

    stopped = production.systemctl("stop", RUN)

    assert (stopped.returncode, production.rented.left()) == (0, [])
    assert [one.path for one in production.runs.pings] == ["/start", "/143"]


def fail_a_run(production: Production) -> None:
    """It is one message, with the last lines."""
    before = len(production.runs.pings)
    production.source.hangs.clear()

    failed = production.systemctl("start", RUN)

    assert failed.returncode
    start, end = production.runs.pings[before:]
    assert (start.path, end.path) == ("/start", "/1")
    assert "last lines:\n" in end.text
    assert production.rented.left() == []


def sweep(production: Production) -> None:
    """It is one message."""
    production.sweeps.pings.clear()

    swept = production.systemctl("start", SWEEP)

    assert swept.returncode == 0
    assert [one.path for one in production.sweeps.pings] == ["/start", ""]


def replace_the_supervisor(production: Production) -> None:
    """Deleted in a run, it has its history when it is made again, and sweeps the machine."""
    known = [one["run"] for one in production.there("runs")]
    shown = [production.there("runs", "show", run) for run in known]
    production.start_a_run()
    assert production.machine is not None
    production.machine.close()  # as its provider does
    production.source.hangs.clear()
    assert production.rented.left() != []

    production.enroll("second")
    production.systemctl("start", SWEEP)
    (dead,) = {one["run"] for one in production.there("runs")} - {*known}
    assert production.rented.left() != []  # it may be alive
    production.age(dead)
    production.systemctl("start", SWEEP)

    assert production.rented.left() == []
    for run, before in zip(known, shown, strict=True):
        after = production.there("runs", "show", run)
        assert {name for name in before if after[name] != before[name]} == set(), after["stages"]
    assert production.there("runs", "show", dead)["state"] == "interrupted"
    assert production.there("runs", "show", dead)["plan"]["placements"]


def follow_the_channel(production: Production) -> None:
    """The next sweep is of the release that was pushed, and of the one before again."""
    assert production.machine is not None
    current = production.machine.root() / "opt/materia/current"
    before = current.readlink()
    production.write('["hetzner", "local"]')
    production.push()
    production.write()

    assert production.systemctl("start", SWEEP).returncode == 0
    after = current.readlink()
    production.do("artifact", "release", "prod", "--to", "previous")
    assert production.systemctl("start", SWEEP).returncode == 0

    assert after != before
    assert current.readlink() == before
    sweeps = production.journal()
    assert "is in use from now on" in sweeps


def commands(root: Path) -> dict[str, str]:
    """The arguments of materia's processes on the supervisor."""
    found = {}
    for file in (root / "proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found[str(file)] = file.read_bytes().decode(errors="replace")
    return {name: text for name, text in found.items() if "materia_runner" in text}


def look_for_secrets(production: Production) -> None:
    """They are in the file that root alone reads, and nowhere else."""
    assert production.machine is not None
    root = production.machine.root()
    env = root / "etc/materia/psdonline.env"
    texts = {"journal": production.journal()}
    for hook in (production.runs, production.sweeps):
        texts |= {f"ping {number}": one.text for number, one in enumerate(hook.pings)}
    for name in production.server.names(production.bucket):
        if not name.endswith(".tar.gz"):
            texts[name] = production.server.content(production.bucket, name).decode()
    for folder in ("etc/materia", "etc/systemd/system", "var/lib/materia", "var/cache/materia"):
        for file in (root / folder).rglob("*"):
            if file.is_file() and file != env:
                texts[str(file)] = file.read_bytes().decode(errors="replace")
    production.source.hangs.set()
    production.systemctl("start", "--no-block", RUN)
    wait_until(lambda: len(commands(root)) > 0, "the process of a run")
    texts |= commands(root)
    production.systemctl("stop", RUN)

    assert (env.stat().st_mode & 0o777, env.stat().st_uid) == (0o600, 0)
    assert SECRET in env.read_text()
    assert any(name.endswith("ledger.db") for name in texts)
    assert "materia_runner" in texts["journal"] or "psdonline" in texts["journal"]
    for name, text in texts.items():
        found = [one for one, secret in production.secrets.items() if secret in text]
        assert found in ([], ["MATERIA_ARTIFACTS_KEY_ID"]), name


def test_a_production_is_stopped_fails_is_replaced_and_follows_its_channel_and_shows_no_secret(
    production: Production,
) -> None:
    stop_a_run(production)
    fail_a_run(production)
    sweep(production)
    replace_the_supervisor(production)
    follow_the_channel(production)
    look_for_secrets(production)
