"""Report the end of a command: to a webhook, and a run's to the bucket; never change the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from materia_runner.cli.echo import echo

if TYPE_CHECKING:
    from materia.errors import MateriaError
    from materia.plugins import Registry

    from materia_runner.config.pipeline import Pipeline
    from materia_runner.messages.events import Event, Observe
    from materia_runner.notify.webhook import Webhook

LINES = 20


class LastLines:
    """The last lines that a command said, for the message about its failure."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)

    def add(self, text: str) -> None:
        """Remember the lines of *text*."""
        self._lines.extend(text.splitlines())

    def kept(self) -> tuple[str, ...]:
        """The last lines, the oldest first."""
        return tuple(self._lines)

    def observing(self, observe: Observe) -> Observe:
        """An observer of a run's events that remembers their messages, too."""
        from materia_runner.messages.events import Log, Output

        def both(stage: str, event: Event) -> None:
            if isinstance(event, Log):
                self.add(f"{stage}: {event.message}")
            elif isinstance(event, Output):
                self.add(f"{stage}: {event.text}")
            observe(stage, event)

        return both


@contextmanager
def notified(
    what: Literal["run", "sweep"],
    pipeline: Pipeline,
    environment: Mapping[str, str],
    *,
    trial: bool = False,
) -> Iterator[LastLines]:
    """Report the start and the end of the block to the webhook that `[notify]` asks for.

    The end of a run goes into the bucket of artifacts, too, if there is one: that is the status
    which `materia schedule check` reads. A *trial* is not reported. The block's result, error and
    exit code stay as they are.
    """
    lines = LastLines()
    if trial:
        yield lines
        return
    webhook = _opened(what, pipeline, environment)
    code, reason = 0, ""
    if webhook is not None:
        webhook.start()
    try:
        yield lines
    except BaseException as error:
        code, reason = _ended(error)
        raise
    finally:
        if webhook is not None:
            _finish(webhook, what, pipeline, lines, code=code, reason=reason)
        if what == "run":
            _keep_status(pipeline, environment, code)


def report_update(pipeline: Pipeline, environment: Mapping[str, str], error: MateriaError) -> bool:
    """Report a failed update of a supervisor as its runs are reported; whether it arrived."""
    webhook = _opened("run", pipeline, environment)
    if webhook is None:
        return False
    return _finish(
        webhook, "update", pipeline, LastLines(), code=error.exit_code, reason=str(error)
    )


def _opened(
    what: Literal["run", "sweep"], pipeline: Pipeline, environment: Mapping[str, str]
) -> Webhook | None:
    if what not in pipeline.notify:
        return None
    from materia_runner.notify.webhook import Webhook
    from materia_runner.secrets.redaction import WEBHOOKS

    variable = WEBHOOKS[what]
    if not (address := environment.get(variable)):
        echo(f"warning: no notification is sent: set {variable}, which [notify] needs", err=True)
        return None
    return Webhook(address)


def _keep_status(pipeline: Pipeline, environment: Mapping[str, str], code: int) -> None:
    if pipeline.artifacts is None:
        return
    import socket

    from materia.errors import MateriaError

    from materia_runner.artifact.bucket import ArtifactBucket
    from materia_runner.schedule.status import write_status

    try:
        bucket = ArtifactBucket(pipeline.artifacts, environment)
        write_status(bucket, pipeline.name, host=socket.gethostname(), code=code)
    except MateriaError as error:
        echo(f"warning: the status of this run was not written: {error}", err=True)


def _finish(
    webhook: Webhook, what: str, pipeline: Pipeline, lines: LastLines, *, code: int, reason: str
) -> bool:
    """Report an end; whether it arrived."""
    import socket

    from materia.printable import printable

    from materia_runner.cli.redact_output import unsaid
    from materia_runner.notify.message import Outcome, body, ending
    from materia_runner.secrets.redaction import WEBHOOKS

    outcome = Outcome(
        what=what,
        pipeline=pipeline.name,
        host=socket.gethostname(),
        code=code,
        # Redact before lines are cut, and again: a removed character may have split a secret.
        reason=unsaid(printable(unsaid(reason))),
        lines=[unsaid(printable(unsaid(line))) for line in lines.kept()],
    )
    problem = webhook.finish(ending(code), body(outcome))
    if problem is not None:
        variable = WEBHOOKS.get(what, WEBHOOKS["run"])
        echo(f"warning: cannot notify the webhook in {variable}: {problem}", err=True)
    return problem is None


def _ended(error: BaseException) -> tuple[int, str]:
    """The exit code that *error* leads to, and its message."""
    import typer
    from materia.errors import MateriaError

    from materia_runner.signals import Interrupted

    match error:
        case MateriaError() | Interrupted():
            return error.exit_code, str(error)
        case typer.Exit():
            return error.exit_code, ""
        case KeyboardInterrupt():
            return 130, "ended by SIGINT"
        case _:
            return 1, f"{type(error).__name__}: {error}"


def webhook_environment(
    what: Literal["run", "sweep"], registry: Registry, pipeline: Pipeline
) -> Mapping[str, str]:
    """The environment with the address of the webhook, from every place of secrets."""
    import os

    from materia_runner.cli.redact_output import know
    from materia_runner.secrets.redaction import WEBHOOKS, all_to_hide
    from materia_runner.secrets.resolve import resolve

    if what not in pipeline.notify:
        return os.environ
    found = resolve(
        os.environ,
        names=[WEBHOOKS[what]],
        dotenv=pipeline.directory / ".env",
        esc=pipeline.esc,
    )
    know(all_to_hide(found.values, registry))
    return found.values
