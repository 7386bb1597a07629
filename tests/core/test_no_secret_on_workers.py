"""A whole run on a rented machine, and everything that can be seen of it, searched for secrets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.rented import Rented
from fakes.workshop import Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not())),
]

# Characters that Python, JSON, a shell and a header would each write otherwise.
SECRET = "va'ult\"$key\n-7731QZ end"  # noqa: S105 -- made up here
CLOUD = "hz\"tok$HOME`e'n-5519KJ"
PARTS = {"of the source": (b"-7731QZ", b"va'ult"), "of the cloud": (b"-5519KJ", b'hz"tok')}
VAULT = """
import sys, time
from pathlib import Path
from materia import Plugin, hookimpl
from materia.errors import SourceError
from materia.data import Partition

class Vault:
    def __init__(self, opening):
        self._secret = opening.secrets["VAULT_KEY"]
        print("opened with", self._secret, repr(self._secret), file=sys.stderr)

    def partitions(self, request):
        return [Partition(key="one", url="https://example.org/one", file="x")]

    def fetch(self, request):
        time.sleep(0.6)  # to be looked at
        raise {kind}(f"refused {{self._secret}}, that is {{self._secret!r}}")

    def load(self, request): ...
    def models(self): ...

@hookimpl
def materia_sources():
    return [Plugin(name="vault", summary="locked", open=Vault, secrets=("VAULT_KEY",))]
"""


class Search:
    """What was found of the secrets, and where; `places` counts what was looked at."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self.places: dict[str, int] = {}

    def look(self, kind: str, where: str, content: bytes | str) -> None:
        if isinstance(content, str):
            content = content.encode()
        self.places[kind] = self.places.get(kind, 0) + 1
        self.found |= {
            (whose, f"{kind} {where}")
            for whose, parts in PARTS.items()
            if any(part in content for part in parts)
        }

    def look_at_files(self, kind: str, folder: Path) -> None:
        for path in _files(folder):
            try:
                self.look(kind, str(path), path.read_bytes())
            except OSError:  # gone meanwhile
                continue

    def look_at_processes(self, kind: str, processes: Mapping[int, object]) -> None:
        for process in processes:
            for part in ("cmdline", "environ"):
                try:
                    content = Path(f"/proc/{process}/{part}").read_bytes()
                except OSError:  # gone meanwhile
                    continue
                self.look(f"{part} {kind}", str(process), content)

    @contextmanager
    def watching(self, rented: Rented) -> Iterator[None]:
        """Look at the machines again and again until the block ends."""
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                for machine in rented.machines.all():
                    self.look_at_processes("there", machine.processes())
                    self.look_at_files("file there", machine.folder / "home")
                    self.look_at_files("file there", machine.folder / "tmp")
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        self.look("cmdline here", path.parent.name, path.read_bytes())
                    except OSError:
                        continue
                time.sleep(0.1)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _files(folder: Path) -> list[Path]:
    """All but what the artifact brought: it is the same for everybody."""
    try:
        return [
            path
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink() and "artifacts" not in path.parts
        ]
    except OSError:  # a folder went while it was read
        return []


@pytest.mark.parametrize("kind", of_each_kind(["SourceError", "KeyError"], "KeyError"))
def test_secrets_are_nowhere_but_in_the_memory_of_who_needs_them(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    workshop.module("vault", VAULT.format(kind=kind))
    workshop.install("vault", "vault", files=("vault.py",))
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    search = Search()
    with Rented(workshop, ["hetzner"], cache=cache, pipeline='source = "vault"\n') as rented:
        hetzner = rented.clouds["hetzner"]
        hetzner.token = CLOUD  # type: ignore[attr-defined]  # of this cloud
        with search.watching(rented):
            ended = rented.run("run", "--provider", "hetzner", "--json", VAULT_KEY=SECRET)
        shown = [rented.run("runs", "show", *more).stdout for more in ((), ("--json",))]
        for exchange in hetzner.exchanges:
            search.look("request", exchange.target, exchange.target.encode() + exchange.body)
        left = rented.left()
    for text in (ended.stdout, ended.stderr, *shown):
        search.look("said", "", text)
    search.look_at_files("file here", workshop.directory.parent)

    assert ended.returncode == 1
    assert "refused ***" in ended.stderr, ended.stderr
    assert left == []
    assert set(search.places) >= {
        *("cmdline there", "environ there", "file there", "cmdline here"),
        *("request", "said", "file here"),
    }
    assert search.found == set()
