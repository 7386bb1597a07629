"""Entry point of the command `materia`: print each error as a line, and exit with its code.

The commands are in `tree`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Annotated

import typer
from materia.errors import ConfigError, MateriaError
from materia.printable import printable

from materia_runner.cli import orphan_notice as notice
from materia_runner.cli.echo import echo, wrapped_for
from materia_runner.cli.redact_output import unsaid
from materia_runner.cli.tree import Root
from materia_runner.concurrency import left_alone
from materia_runner.signals import Interrupted

EPILOG = """\
\b
Start here:
  materia run --sample      run the whole pipeline offline, on bundled sample data
  materia run               run it on the real data
  materia init              write a commented materia.toml
  materia plugins           list what is installed

\b
Exit codes:
  0  done                   3  something could not be destroyed and costs money
  1  a stage failed, or     4  no machine to run on, or over budget
     files were refused     5  another process has locked the database
  2  an error in an option, materia.toml or a plugin, or a missing secret
  130, 143, 129  ended by Ctrl-C, SIGTERM, SIGHUP; nothing is left half done
"""

app = typer.Typer(
    name="materia",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,  # importing rich would take longer than printing plain help
    pretty_exceptions_enable=False,  # they print local variables, and so secrets
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 -- typer calls it so
    if wanted:
        from importlib.metadata import version

        echo(f"materia {version('materia-runner')}")
        raise typer.Exit


NoPlugins = Annotated[
    bool,
    typer.Option(
        "--no-plugins",
        help="Use only the plugins bundled with materia.",
    ),
]
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
]


@app.callback()
def root(
    context: typer.Context,
    *,
    no_plugins: NoPlugins = False,  # noqa: ARG001 -- commands read it from the context
    version: Version = False,  # noqa: ARG001 -- its callback has answered
) -> None:
    """Run data pipelines on the cheapest machine on offer, and leave nothing behind.

    A pipeline has sources, two stages and a sink. The stage extract fetches new data from the
    sources; transform turns it into tables and publishes them in the sink. A run without new data
    costs next to nothing. Every setting has a default; change it in materia.toml.
    """
    if context.invoked_subcommand != "sweep":  # the notice recommends a sweep
        notice.tell_of_leftovers()


def main() -> None:
    """Run the command line and exit.

    Bugs print their traceback, with secrets redacted.
    """
    _fill_closed_streams()
    code = 0
    try:
        app(prog_name="materia")  # also under `python -m materia_runner`
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:  # before the command installed its signal handlers
        code = 130
    except MateriaError as error:
        _say(error)
        code = error.exit_code
    except Interrupted as interrupted:
        _write(f"materia: {interrupted}; nothing is left half done\n")
        code = interrupted.exit_code
    except OSError as error:
        # Only a failed write to standard output has no file name in its error.
        code = 1
        if error.errno == errno.ENOSPC and error.filename is None:
            _write(f"materia: cannot write to standard output: {error.strerror}\n")
        else:
            _write(_traced(error))
    except Exception as error:  # noqa: BLE001 -- printed with its traceback
        code = 1
        _write(_traced(error))
    code = _flushed(code)
    if left_alone():
        os._exit(code)  # do not wait for a plugin's thread that still waits for its service
    sys.exit(code)


def _fill_closed_streams() -> None:
    """Open the null device for each standard stream that was closed from the start.

    Otherwise the next file that is opened takes its descriptor: the database, perhaps.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _say(error: MateriaError) -> None:
    # A ConfigError may have several mistakes.
    for line in error.args if isinstance(error, ConfigError) else [error]:
        _write(f"materia: {line}\n")
    before = error.__context__  # an error in the clean-up must not hide the first error
    if isinstance(before, MateriaError) and error.__cause__ is None:
        _write(f"materia: before that: {before}\n")


def _traced(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone; the exit code remains
        # Redact twice: `printable` may remove a character from the middle of a secret.
        sys.stderr.write(wrapped_for(sys.stderr, unsaid(printable(unsaid(text)))))
        sys.stderr.flush()


def _flushed(code: int) -> int:
    """Flush now: at exit, Python would print an error when the reader or the terminal is gone."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None when it was closed from the start
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = code or 1
    return code
