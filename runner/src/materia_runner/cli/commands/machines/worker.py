"""`materia worker`: rent a single machine by hand, log in over SSH, and destroy it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from materia_runner.cli.commands.machines import worker_create
from materia_runner.cli.commands.machines.price import Names, split
from materia_runner.cli.context import to_json
from materia_runner.cli.echo import echo
from materia_runner.cli.fast_typer import Command, group_app
from materia_runner.cli.options import Config, Json
from materia_runner.cli.output.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from materia.compute import Instance
    from materia.protocols import Provider

    from materia_runner.cli.provider_access import Asked, SkippedProvider
    from materia_runner.ledger.state import State
    from materia_runner.rental.manual_worker import Destroyed

LIST_EPILOG = """\
\b
Lists every machine of materia that the providers list, including those of runs and of
other computers. Workers created by hand on this computer have short names.
"""
SSH_EPILOG = """\
\b
Runs OpenSSH with the key created for this worker. It accepts only the host key created
for this worker, and ignores your own ssh configuration. The words after NAME are the
command to run on the worker, as with ssh; write -- before a command with options.

\b
Examples:
  materia worker ssh worker
  materia worker ssh worker -- uname -a
  materia worker ssh worker 'cat > log' < log
"""
DESTROY_EPILOG = """\
\b
Returns when the provider confirms that the machine is gone, with its volumes, addresses
and keys. Takes the names that `materia worker list` shows.
"""

app = group_app(
    "worker",
    help="Rent single machines by hand.",
    epilog="`materia run` creates and destroys its own workers; these are for your own use.",
)


def _complete(incomplete: str) -> list[str]:
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.rental import manual_worker_files as worker_keys

    found = worker_keys.workers(State(state_folder(os.environ)))
    return [worker.name for worker in found if worker.name.startswith(incomplete)]


@app.callback()
def group() -> None:
    """Rent single machines by hand."""


app.command("create", cls=Command, epilog=worker_create.EPILOG)(worker_create.create)


@app.command("list", cls=Command, epilog=LIST_EPILOG)
def list_workers(
    context: typer.Context, *, provider: Names = None, json: Json = False, config: Config = None
) -> None:
    """List running machines, with what they cost so far."""
    from materia_providers.list_entries import left_out_of

    from materia_runner.cli.output import worker_table
    from materia_runner.cli.provider_access import SkippedProvider, ask, open_all
    from materia_runner.concurrency import ask_each
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State

    state = State(state_folder(os.environ))
    names = split(provider)
    asked, skipped = open_all(context, config, state, names=names, every=not names)
    questions = [(one.name, partial(ask, one, _listed)) for one in asked]
    listed: list[tuple[str, Instance]] = []
    with Waiting() as waiting:
        answers = ask_each(questions, waiting=waiting.show)
    for one, answer in zip(asked, answers, strict=True):
        if answer is None:
            late = f"{one.name}: timed out; try again later"
            skipped.append(SkippedProvider(name=one.name, reason=late, exit_code=1))
        elif isinstance(answer, SkippedProvider):
            skipped.append(answer)
        else:
            listed += [(one.name, instance) for instance in answer]
            skipped += [
                SkippedProvider(name=one.name, reason=line, exit_code=1)
                for line in left_out_of(answer)
            ]
    rows = worker_table.rows_of(listed, state, now=datetime.now(UTC))
    echo(to_json(rows) if json else worker_table.as_text(rows))
    for lacking in skipped:
        word = "" if lacking.exit_code else "left out: "
        echo(f"materia: {word}{lacking.reason}", err=True)
    if code := max((lacking.exit_code for lacking in skipped), default=0):
        raise typer.Exit(code)


@app.command(
    "ssh",
    cls=Command,
    epilog=SSH_EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def ssh(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the worker, as `materia worker list` shows it.",
            autocompletion=_complete,
        ),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Command to run on the worker (default: a shell)."),
    ] = None,
) -> None:
    """Log in to a worker over SSH, or run a command on it."""
    from materia.errors import ConfigError

    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.rental import manual_worker_files as worker_keys

    state = State(state_folder(os.environ))
    worker = worker_keys.find(state, name)
    if worker is None:
        raise ConfigError(_unknown(state, name))
    words = worker_keys.ssh_command(state, worker)
    if shutil.which(words[0]) is None:
        raise ConfigError("cannot find `ssh` on this machine; install the OpenSSH client")
    there = list(command or ())
    if there[:1] == ["--"]:
        there = there[1:]
    os.execvp(words[0], [*words, *there])  # noqa: S606 -- ours, no shell


@app.command("destroy", cls=Command, epilog=DESTROY_EPILOG)
def destroy(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="Names of workers, as `materia worker list` shows them.",
            autocompletion=_complete,
        ),
    ],
    *,
    provider: Names = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Destroy workers, and verify that nothing is left of them."""
    from materia.errors import ConfigError

    from materia_runner.cli.provider_access import open_all
    from materia_runner.codec import plain
    from materia_runner.figures import money_text
    from materia_runner.folders import state_folder
    from materia_runner.ledger.state import State
    from materia_runner.rental import manual_worker_files as worker_keys

    state = State(state_folder(os.environ))
    cards = {name: worker_keys.find(state, name) for name in names}
    # The card of a worker names its provider; no other provider is asked.
    known = tuple(sorted({card.provider for card in cards.values() if card and card.provider}))
    chosen = split(provider) or (known if all(cards.values()) else ())
    asked, skipped = open_all(context, config, state, names=chosen)
    code = 0
    say = (lambda _: None) if json else echo
    rows = []
    for name, card in cards.items():
        gone = _destroyed(card.machine if card else name, asked, skipped, state)
        if gone is not None:
            cost = f"; it cost {money_text(gone.cost)}" if gone.cost else ""
            say(f"{gone.instance.provider}: {name} is gone{cost}")
        elif card is not None and not skipped:
            worker_keys.forget(state, card)
            say(f"{name} was already gone; removed its keys")
        elif not skipped:
            echo(f"materia: {_unknown(state, name)}", err=True)
            code = ConfigError.exit_code
        rows.append(
            {
                "name": name,
                "provider": gone.instance.provider if gone else card and card.provider,
                "destroyed": gone is not None,
                "cost": gone and gone.cost and plain(gone.cost),
            }
        )
    if json:
        echo(to_json(rows))
    for lacking in skipped:
        echo(f"materia: {lacking.reason}", err=True)
    if code := max(code, *(lacking.exit_code for lacking in skipped), 0):
        raise typer.Exit(code)


def _destroyed(
    machine: str, asked: Sequence[Asked], skipped: list[SkippedProvider], state: State
) -> Destroyed | None:
    """Destroy the machine at the provider that has it; *skipped* gets providers that failed."""
    from materia_runner.cli.provider_access import SkippedProvider, ask
    from materia_runner.rental.manual_worker import destroy_worker

    for one in asked:
        answer = ask(one, partial(destroy_worker, name=machine, state=state))
        if isinstance(answer, SkippedProvider):
            skipped.append(answer)
        elif answer is not None:
            return answer
    return None


def _listed(provider: Provider) -> Sequence[Instance]:
    return provider.list_instances()


def _unknown(state: State, name: str) -> str:
    from materia.text import suggestion

    from materia_runner.rental import manual_worker_files as worker_keys

    names = [worker.name for worker in worker_keys.workers(state)]
    there = f"workers: {', '.join(names)}" if names else "create one with `materia worker create`"
    return f"no worker {name!r} was created on this computer{suggestion(name, names)}; {there}"
