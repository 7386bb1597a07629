"""Measure what materia adds on a rented machine to what a person does there with ssh.

    nice -n -19 uv run --group dev python benchmarks/rented.py [--pairs N] [--only NAME]

Machines are those of the emulated Hetzner, with OpenSSH and real processes behind them. Each pair
is one run of materia and the same by hand, one after the other, each on a machine of its own:

    first row  from the machine's SSH server answering to the first progress of the stage
    gone       from the last stage's result to the machine being gone from the provider's list
    in all     from the machine's SSH server answering to then

By hand that is scp of the same artifact, `tar xzf` (or curl into tar, where there is a bucket) and
`python3 -m materia_runner.worker.stage_process` over ssh, then DELETE, and GET until it is not
found. No step waits for
a person, nothing is looked at twice, and the results are left on the machine. The figures are
those of materia, in brackets against those by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from materia.plugins import Registry
from materia_providers.cloud_init import LOGIN_USER, cloud_config, generate_key, user_data
from materia_runner.artifact.find import Artifact, find_or_build
from materia_runner.artifact.target import EXTRACT
from materia_runner.bundled import load_registry
from materia_runner.cli.commands.machines.emulator import toml
from materia_runner.config.load import load_config
from materia_runner.config.pipeline import Pipeline
from materia_runner.config.sample import sampled
from materia_runner.messages import sink_messages as relay_messages
from materia_runner.messages import stage_request as worker_request
from materia_runner.messages.sink_messages import AskKnown, AtHome
from materia_runner.messages.stage_request import WorkerRequest
from materia_testing.emulation.service import Behaviour
from materia_testing.emulation.services import service_class
from materia_testing.emulation.ssh_machines.machine import SshMachines

STAGES = {"extract": ("extract",), "extract and transform": ("extract", "transform")}
PROJECT = Path(__file__).resolve().parents[1] / "transform/sqlmesh_materia"
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "UV_CACHE_DIR", "UV_INDEX_URL", "HOME")
SYSTEM_PYTHON = "/usr/bin/python3"  # what the machines have
PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What one side took."""

    before_seconds: float
    after_seconds: float
    whole_seconds: float


class Cloud:
    """The emulated Hetzner, and when each of its machines first answered."""

    def __init__(self, stack: ExitStack) -> None:
        self.machines = stack.enter_context(SshMachines(kind="openssh"))
        brief = Behaviour(boot=timedelta(seconds=0.3), delete=timedelta(seconds=0.2))
        self.api = stack.enter_context(
            service_class("hetzner")(behaviour=brief, machines=self.machines)
        )
        self._answered: dict[str, float] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def answered(self, host: str) -> float:
        """When it did; waits for it."""
        while host not in self._answered:
            time.sleep(0.001)
        return self._answered[host]

    def only_machine(self) -> str:
        """The address of the machine that was made last."""
        return list(self._answered)[-1]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer; None when it is not found."""
        request = Request(  # noqa: S310 -- of the emulator
            f"{self.api.url}/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.api.secrets()['HCLOUD_TOKEN']}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urlopen(request) as answer:  # noqa: S310 -- as above
                return json.loads(answer.read() or b"{}")
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def _watch(self) -> None:
        while True:
            for machine in self.machines.all():
                if machine.host not in self._answered and _has_banner(machine.host, machine.port):
                    self._answered[machine.host] = time.perf_counter()
            time.sleep(0.002)


def _has_banner(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1.0) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False


class Bench:
    """A folder, a cloud, perhaps a bucket, and both sides of a pair."""

    def __init__(self, folder: Path, cloud: Cloud, bucket: Mapping[str, str]) -> None:
        self.folder = folder
        self.cloud = cloud
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.environment |= {"XDG_CACHE_HOME": str(folder / "cache"), **KEYS}
        self.environment |= cloud.api.secrets()
        port = {} if cloud.machines.port == 22 else {"ssh_port": cloud.machines.port}
        architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
        self.architecture: Any = architecture
        ask = "import sys; print(*sys.version_info[:2], sep='.')"
        self.python = subprocess.check_output([SYSTEM_PYTHON, "-c", ask], text=True).strip()
        lines = [
            f"[transform]\nproject = {json.dumps(str(PROJECT))}",
            *(
                f'[stages.{name}]\narchitectures = ["{architecture}"]'
                for name in STAGES["extract and transform"]
            ),
            toml({"hetzner": {**cloud.api.settings(), **port}}),
        ]
        if bucket:
            values = "\n".join(f"{name} = {json.dumps(value)}" for name, value in bucket.items())
            lines.append(f"[artifacts]\n{values}")
        self.config = "\n\n".join(lines)

    def ours(self, stages: Sequence[str]) -> Times:
        """A run of materia."""
        home = self._home()
        what = ["run"] if len(stages) > 1 else ["pipeline", "run", *stages]
        command = [sys.executable, "-P", "-m", "materia_runner", *what]
        command += ["--sample", "--provider", "hetzner", "--json"]
        heard: dict[str, float] = {}
        said: list[str] = []
        with subprocess.Popen(
            command,
            cwd=home,
            env={**self.environment, "MATERIA_STATE_DIR": str(home / "state")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                now = time.perf_counter()
                said.append(line.decode())
                event = json.loads(line) if line.startswith(b"{") else {"event": ""}
                kind = event["event"]
                if kind == "progress":
                    heard.setdefault(kind, now)
                elif kind == "result" or event.get("state") == "gone":
                    heard[event.get("state", kind)] = now
        if process.returncode:
            raise SystemExit(f"materia failed:\n{''.join(said)[-3000:]}")
        (self.folder / "said.txt").write_text("".join(said))
        answered = self.cloud.answered(self.cloud.only_machine())
        return Times(
            before_seconds=heard["progress"] - answered,
            after_seconds=heard["gone"] - heard["result"],
            whole_seconds=heard["gone"] - answered,
        )

    def by_hand(self, stages: Sequence[str]) -> Times:
        """The same with ssh."""
        home = self._home()
        artifact = self._artifact(home, stages)
        login, host_key = generate_key(), generate_key()
        now = datetime.now(UTC)
        config = cloud_config(
            login_key=login.public,
            host_key=host_key,
            now=now,
            expires_at=now + timedelta(hours=1),
        )
        made = self.cloud.ask(
            "POST",
            "/servers",
            {
                "name": f"by-hand-{time.time_ns()}",
                "server_type": "cpx32",
                "image": "debian-12",
                "user_data": user_data(config),
            },
        )["server"]
        host = made["public_net"]["ipv4"]["ip"]
        (home / "key").touch(mode=0o600)
        (home / "key").write_text(login.private)
        port = self.cloud.machines.port
        name = host if port == 22 else f"[{host}]:{port}"
        (home / "known").write_text(f"{name} {host_key.public}\n")
        options = [
            *("-F", "none", "-i", str(home / "key"), "-o", f"UserKnownHostsFile={home / 'known'}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-q"),
        ]
        ssh = ["ssh", *options, "-p", str(port), f"{LOGIN_USER}@{host}"]
        answered = self.cloud.answered(host)
        if artifact.url is None:
            to = f"{LOGIN_USER}@{host}:artifact.tar.gz"
            scp = ["scp", *options, "-P", str(port), str(artifact.path), to]
            subprocess.run(scp, check=True)
            subprocess.run([*ssh, "tar xzf artifact.tar.gz"], check=True)
        else:
            subprocess.run([*ssh, f"curl -sSf '{artifact.url}' | tar xz"], check=True)
        first = last = 0.0
        for stage in stages:
            heard = list(self._stage(ssh, stage, at_home=artifact.stages == EXTRACT))
            first = first or next(at for at, kind in heard if kind == "progress")
            last = heard[-1][0]
            assert heard[-1][1] == "result"
        self.cloud.ask("DELETE", f"/servers/{made['id']}")
        while self.cloud.ask("GET", f"/servers/{made['id']}") is not None:
            time.sleep(PAUSE_SECONDS)
        gone = time.perf_counter()
        return Times(
            before_seconds=first - answered,
            after_seconds=gone - last,
            whole_seconds=gone - answered,
        )

    def _stage(
        self, ssh: Sequence[str], stage: str, *, at_home: bool
    ) -> Iterator[tuple[float, str]]:
        """Each event, with its time; a sink that is *at_home* keeps nothing."""
        registry = load_registry(bundled_only=True)
        pipeline = sampled(self._pipeline(registry), registry)
        request = WorkerRequest(
            run="by-hand",
            stage=stage,
            pipeline=pipeline.name,
            sources=pipeline.sources,
            sink=pipeline.sink,
            settings={
                "source": {one: pipeline.settings["source", one] for one in pipeline.sources},
                "sink": {pipeline.sink: pipeline.settings["sink", pipeline.sink]},
            },
            secrets={
                "source": {one: {} for one in pipeline.sources},
                "sink": {pipeline.sink: {}},
            },
            directory=Path(f"/home/{LOGIN_USER}"),
            workspace=Path(f"/home/{LOGIN_USER}/scratch"),
            project=Path(f"/home/{LOGIN_USER}/project"),
            sample=True,
        )
        if at_home:
            kept = Path(f"/home/{LOGIN_USER}/kept")
            request = replace(
                request, at_home=AtHome(known={request.kept_as(request.sources[0]): {}}, kept=kept)
            )
        command = [*ssh, "PYTHONPATH=lib exec python3 -P -m materia_runner.worker.stage_process"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{worker_request.encode(request)}\n".encode())
            process.stdin.flush()
            for line in process.stdout:
                if (asked := relay_messages.decode(line.decode())) is not None:
                    number, message = asked
                    answer: object = {} if isinstance(message, AskKnown) else None
                    process.stdin.write(f"{relay_messages.encode(number, answer)}\n".encode())
                    process.stdin.flush()
                    continue
                yield time.perf_counter(), json.loads(line)["event"]

    def _artifact(self, home: Path, stages: Sequence[str]) -> Artifact:
        registry = load_registry(bundled_only=True)
        pipeline = self._pipeline(registry)
        os.environ["XDG_CACHE_HOME"] = self.environment["XDG_CACHE_HOME"]
        return find_or_build(
            python=self.python,
            architecture=self.architecture,
            registry=registry,
            pipeline=pipeline,
            environment=self.environment,
            stages=stages,
            say=lambda text: print(text, file=sys.stderr),
        )

    def _pipeline(self, registry: Registry) -> Pipeline:
        home = self.folder / "home"
        return load_config(registry, path=home / "materia.toml", start=home)

    def _home(self) -> Path:
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "materia.toml").write_text(self.config)
        return home


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """A bucket of moto, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                try:
                    urlopen(Request(f"{endpoint}/bench", method="PUT")).close()  # noqa: S310 -- moto's
                    break
                except OSError:
                    time.sleep(0.1)
            yield {"bucket": "s3://bench/materia", "endpoint": endpoint}
        finally:
            server.terminate()


def measured(bench: Bench, stages: Sequence[str], pairs: int) -> list[tuple[Times, Times]]:
    """Pairs, materia first in every other; the first of all is not counted."""
    found = []
    for number in range(pairs + 1):
        sides = [bench.ours, bench.by_hand]
        both = {side: side(stages) for side in (sides if number % 2 else reversed(sides))}
        if number:
            found.append((both[bench.ours], both[bench.by_hand]))
        print(".", end="", flush=True, file=sys.stderr)
    return found


def row(name: str, pairs: Sequence[tuple[Times, Times]]) -> str:
    """One line of the table."""
    cells = []
    for figure in ("before_seconds", "after_seconds", "whole_seconds"):
        ours = [getattr(one, figure) for one, _ in pairs]
        hand = [getattr(other, figure) for _, other in pairs]
        ratio = median(one / other for one, other in zip(ours, hand, strict=True))
        cells.append(f"{median(ours):.2f} s ({ratio:.2f})")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, and print the table of the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("bench/rented"), help="for all files")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", default="", help="measure rows that have this in their name")
    options = parser.parse_args()
    folder = options.folder.resolve()
    table, results = [], {}
    with ExitStack() as stack:
        cloud = Cloud(stack)
        for way, given in (
            ("artifact copied over SSH", {}),
            ("artifact from a bucket", stack.enter_context(bucket())),
        ):
            bench = Bench(folder, cloud, given)
            for placements, stages in STAGES.items():
                name = f"{placements}, {way}"
                if options.only in name:
                    pairs = measured(bench, stages, options.pairs)
                    table.append(row(name, pairs))
                    results[name] = [[asdict(one) for one in pair] for pair in pairs]
                    print(f" {table[-1]}", file=sys.stderr)
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores {platform.machine()}, "
        f"Python {platform.python_version()}, medians of {options.pairs} pairs\n"
    )
    print("| on a rented machine | first row | gone | in all |\n| --- | ---: | ---: | ---: |")
    print("\n".join(table))


if __name__ == "__main__":
    main()
