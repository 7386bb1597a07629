"""What `pulumi up` makes, by the real engine: at the emulated Hetzner, and in an account's file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.esc import TOKEN, Secret
from fakes.infra_settings import KEY
from fakes.pulumi_engine.cloud import PulumiCloud
from fakes.pulumi_engine.engine import PULUMI, Ended, Engine, fill, new_engine
from hcloud import APIException, Client
from materia_hetzner.emulator.service import Hetzner
from materia_providers.cloud_init import generate_key
from materia_runner.cli.commands.machines.emulator import toml
from materia_runner.secrets.pulumi_esc import read_variables
from materia_testing.emulation import Behaviour, Clock

pytestmark = [
    pytest.mark.engine,
    pytest.mark.campaign,
    pytest.mark.skipif(PULUMI is None, reason="the program pulumi is not on PATH"),
]
pytest.importorskip(
    "pulumi_hcloud",
    reason="the dependency group infra is not installed: uv sync --inexact --group infra",
)
QUICK = timedelta(milliseconds=20)
CLOUDFLARE, WORKERS = "planted-token-of-cloudflare", "planted-token-of-the-workers-project"
USUAL = {"serverType": "cpx22", "location": "fsn1"}


@dataclass(frozen=True)
class Place:
    """A stack, the Pulumi Cloud that keeps it, and the project at Hetzner that it is for."""

    cloud: Hetzner
    pulumi: PulumiCloud
    engine: Engine

    @property
    def client(self) -> Any:
        return Client(self.cloud.token, f"{self.cloud.url}/v1", poll_interval=0.02)

    def servers(self) -> dict[str, str]:
        """The type of each server, by name."""
        return {one.name: one.server_type.name for one in self.client.servers.get_all()}

    def billed(self) -> list[str]:
        return sorted(line.kind for line in self.cloud.still_billed())

    def state(self) -> str:
        """The state as it is stored."""
        return json.dumps(self.pulumi.states["acme/materia-infra/prod"])

    def account(self) -> dict[str, Any]:
        """What there is at Cloudflare, by its kind and name."""
        file = self.engine.folder / "account.json"
        made = json.loads(file.read_text()).values() if file.exists() else ()
        return {f"{one['kind']} {one['inputs'].get('name', '')}": one["inputs"] for one in made}


@contextmanager
def opened(folder: Path, **settings: str) -> Iterator[Place]:
    behaviour = Behaviour(boot=QUICK, delete=QUICK)
    with Hetzner(clock=Clock(), behaviour=behaviour) as cloud, PulumiCloud() as pulumi:
        tokens = {"hcloud:token": Secret(cloud.token), "cloudflare:apiToken": Secret(CLOUDFLARE)}
        pulumi.environments["acme/beanflows/accounts"] = {"pulumiConfig": tokens}
        pulumi.environments["acme/beanflows/workers"] = {"hetzner": Secret(WORKERS)}
        engine = new_engine(folder, pulumi, endpoint=f"{cloud.url}/v1")
        fill(engine, **{**USUAL, **settings})
        yield Place(cloud, pulumi, engine)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A stack with everything, which the tests leave as it is."""
    with opened(tmp_path_factory.mktemp("engine")) as place:
        succeeded(place.engine.up())
        yield place


def succeeded(ended: Ended) -> str:
    assert ended.code == 0, ended.said
    return ended.said


def test_everything_is_made_and_nothing_changes_by_itself(made: Place) -> None:
    assert sorted(made.engine.made()) == [
        "AccountToken artifacts",
        "AccountToken catalog",
        "Environment environment",
        "Firewall supervisor",
        "R2Bucket artifacts",
        "R2Bucket data",
        "R2BucketLifecycle artifacts",
        "R2BucketLifecycle data",
        "R2DataCatalog catalog",
        "Server supervisor",
        "SshKey operator",
    ]
    succeeded(made.engine.differs())


def test_the_supervisor_is_behind_its_firewall_at_the_address_that_is_put_out(made: Place) -> None:
    (server,) = made.client.servers.get_all()
    (wall,) = made.client.firewalls.get_all()

    assert [one.firewall.id for one in server.public_net.firewalls] == [wall.id]
    assert [(rule.port, rule.source_ips) for rule in wall.rules] == [("22", ["203.0.113.7/32"])]
    outputs = made.engine.outputs()
    assert outputs["supervisorAddress"] == server.public_net.ipv4.ip
    assert outputs["supervisorHostKey"] == KEY.public
    assert outputs["artifactsKeySecret"] == outputs["catalogToken"] == "[secret]"


def test_the_state_and_what_is_shown_hold_no_secret(made: Place) -> None:
    key = KEY.private.splitlines()[1]
    state, said = made.state(), made.engine.must("preview", "--diff")

    assert "materia-supervisor-prod" in state
    for secret in (key, "planted-AccountToken", made.cloud.token, CLOUDFLARE, TOKEN):
        assert secret not in state, secret
        assert secret not in said, secret
    stack = (made.engine.folder / "infra/Pulumi.prod.yaml").read_text()
    assert key not in stack
    assert made.cloud.token not in stack


def test_a_run_reads_from_the_environment_what_the_stack_made_and_no_token_of_the_accounts(
    made: Place,
) -> None:
    read = read_variables("acme/beanflows/prod", token=TOKEN, url=made.pulumi.url)

    artifacts = made.engine.outputs()["artifactsKeyId"]
    assert dict(read.values) == {
        "HCLOUD_TOKEN": WORKERS,
        "MATERIA_ARTIFACTS_KEY_ID": artifacts,
        "MATERIA_ARTIFACTS_KEY_SECRET": hashlib.sha256(f"planted-{artifacts}".encode()).hexdigest(),
        "ICEBERG_TOKEN": f"planted-{made.engine.outputs()['catalogKeyId']}",
        "ICEBERG_BUCKET_KEY": made.engine.outputs()["catalogKeyId"],
    }
    assert "planted" not in made.pulumi.definitions["acme/beanflows/prod"]
    # A project of its own: what workers have cannot delete the supervisor.
    leaked = Client(str(read.values["HCLOUD_TOKEN"]), f"{made.cloud.url}/v1")
    with pytest.raises(APIException, match="unable to authenticate"):
        leaked.servers.get_all()
    # Who opens an environment gets all of its values, not only the variables.
    whole = json.dumps(made.pulumi.environments["acme/beanflows/prod"], default=lambda one: one.of)
    assert made.cloud.token not in whole
    assert CLOUDFLARE not in whole


def test_pulumi_s_own_client_reads_the_same_from_the_emulated_esc(made: Place) -> None:
    opened = made.engine.must("env", "open", "acme/beanflows/prod", "--format", "json")

    variables = json.loads(opened)["environmentVariables"]
    assert variables == dict(
        read_variables("acme/beanflows/prod", token=TOKEN, url=made.pulumi.url).values
    )


def test_materia_sweeps_around_the_supervisor_and_does_not_list_it(
    made: Place, tmp_path: Path
) -> None:
    before = made.billed()
    (tmp_path / "materia.toml").write_text(toml({"hetzner": made.cloud.settings()}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HCLOUD_TOKEN": made.cloud.token,  # of the very project that it is in
    }

    def materia(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "materia_runner", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "materia-supervisor" not in materia("sweep", "--all-providers")
    assert json.loads(materia("worker", "list", "--provider", "hetzner", "--json")) == []
    assert made.billed() == before
    assert list(made.servers()) == ["materia-supervisor-prod"]


def test_a_bucket_is_not_destroyed_with_the_rest_while_it_is_protected(made: Place) -> None:
    before = made.billed()

    refused = made.engine.run("destroy", "--yes")

    assert refused.code != 0
    assert "because it is protected" in refused.said
    assert made.billed() == before
    assert {"R2Bucket materia-data", "R2Bucket materia-artifacts"} <= set(made.account())


def test_what_was_changed_behind_its_back_is_seen_and_mended_and_all_of_it_goes(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, catalog="false") as place:
        engine = place.engine
        succeeded(engine.up())
        (server,) = place.client.servers.get_all()
        server.delete().wait_until_finished()
        (key,) = place.client.ssh_keys.get_all()
        key.update(labels={"role": "somebody-else"})

        seen = engine.differs()
        assert seen.code != 0
        assert "no changes were expected" in seen.said
        assert [one for one in seen.said.splitlines() if "Server" in one or "SshKey" in one]

        succeeded(engine.up("--refresh"))
        (again,) = place.client.servers.get_all()
        assert again.id != server.id
        assert engine.outputs()["supervisorAddress"] == again.public_net.ipv4.ip
        assert place.client.ssh_keys.get_all()[0].labels == {"role": "materia-supervisor"}

        # As the README undoes it: first what rents machines, then what the last sweep needs.
        engine.set(supervisor="false", protect="false")
        succeeded(engine.up())
        assert place.billed() == []
        assert {"R2Bucket materia-data", "R2Bucket materia-artifacts"} <= set(place.account())
        assert "acme/beanflows/prod" in place.pulumi.definitions
        succeeded(engine.run("destroy", "--yes"))
        assert place.account() == {}
        assert place.pulumi.definitions.keys().isdisjoint({"acme/beanflows/prod"})


def test_a_type_that_is_sold_out_leaves_no_server_and_another_type_completes_the_stack(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, catalog="false", serverType="cx23") as place:
        failed = place.engine.up()

        assert failed.code != 0
        assert "resource_unavailable" in failed.said
        assert place.billed() == ["firewall", "key"]
        assert "Server supervisor" not in place.engine.made()

        place.engine.set(serverType="cpx22")
        succeeded(place.engine.up())
        assert place.servers() == {"materia-supervisor-prod": "cpx22"}

        (first,) = place.client.servers.get_all()
        for kind in ("cpx32", "cpx22"):  # and back
            place.engine.set(serverType=kind)
            succeeded(place.engine.up())
            (again,) = place.client.servers.get_all()
            assert (again.id, again.status) == (first.id, "running")
            assert place.servers() == {"materia-supervisor-prod": kind}
        succeeded(place.engine.differs())


def test_another_host_key_or_login_key_makes_another_supervisor_after_the_old_one_is_gone(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, catalog="false") as place:
        engine = place.engine
        succeeded(engine.up())
        first, buckets = place.client.servers.get_all()[0].id, place.account()
        other = generate_key()
        engine.must("config", "set", "--secret", "hostKey", text=other.private)
        engine.set(loginKey=f"{generate_key().public} somebody-else")

        succeeded(engine.up())  # a name is unique: with the old one there, this would be refused

        (server,) = place.client.servers.get_all()
        assert server.id != first
        assert other.private.splitlines()[1] in place.cloud.user_data(str(server.id))
        assert engine.outputs()["supervisorHostKey"] == other.public
        assert place.account() == buckets
