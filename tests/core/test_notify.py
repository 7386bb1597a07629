"""A webhook hears how runs and sweeps end, and never changes how."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

import pytest
from fakes.webhook import Manner, WebhookServer
from fakes.workshop import Workshop
from materia_runner.notify.message import LONGEST, TO_DO, Outcome, body, ending
from materia_runner.notify.webhook import Webhook

QUICK = timedelta(seconds=0.4)
NOTIFY = "[notify]\nruns = true\nsweeps = true\n"


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("code", "path", "words"),
    [
        (0, "", "nothing to do"),
        (1, "/1", "materia runs show"),
        (2, "/2", "every run fails until then"),
        (3, "/3", "STILL COSTS MONEY"),
        (4, "/4", "over budget"),
        (5, "/log", "nothing to do, unless"),
        (143, "/143", "stopped by a signal"),
    ],
)
def test_a_code_says_what_a_person_must_do(code: int, path: str, words: str) -> None:
    outcome = Outcome(what="run", pipeline="coffee", host="h", code=code)

    assert ending(code) == path
    assert words in body(outcome).splitlines()[0]
    assert f"(exit code {code})" in body(outcome)


def test_every_exit_code_that_errors_have_is_explained() -> None:
    import materia.errors

    codes = {
        error.exit_code
        for error in vars(materia.errors).values()
        if isinstance(error, type) and issubclass(error, materia.errors.MateriaError)
    }

    assert codes | {0} == set(TO_DO)


def test_a_message_is_short_whatever_a_stage_printed() -> None:
    lines = ["x" * 100_000] * 20
    outcome = Outcome(
        what="run", pipeline="coffee", host="h", code=1, reason="y" * 99_999, lines=lines
    )

    assert len(body(outcome)) <= LONGEST
    assert "last lines" not in body(Outcome(what="run", pipeline="c", host="h", code=0, lines="ab"))


def test_start_and_end_arrive_in_this_order(hook: WebhookServer) -> None:
    webhook = Webhook(f"{hook.address}/?create=1")
    webhook.start()

    assert webhook.finish("/3", "a text with \u20ac") is None
    assert [ping.path for ping in hook.pings] == ["/start?create=1", "/3?create=1"]
    assert hook.pings[1].text == "a text with \u20ac"


REASONS = {
    "well": None,
    "slow": "no answer in time",
    "drips": "no answer in time",
    "500": "it answers 500",
    "404": "it answers 404",
    "elsewhere": "it answers 302",
    "hangs up": "it cannot be reached",
    "no HTTP": "BadStatusLine while it was asked",
}


@pytest.mark.parametrize("manner", get_args(Manner))
def test_an_odd_webhook_is_given_up_in_time_with_a_reason_without_its_address(
    hook: WebhookServer, manner: Manner
) -> None:
    hook.manner = manner
    webhook = Webhook(hook.address, limit=QUICK)
    webhook.start()

    assert webhook.finish("", "done") == REASONS[manner]
    assert "redirected" not in {ping.text for ping in hook.pings}


@pytest.mark.parametrize(
    "address", ["ftp://a/b", "a", "", "http://", "http://[", "http://a b/c", "file:///etc/passwd"]
)
def test_what_is_no_address_is_refused_without_a_request(address: str) -> None:
    reason = Webhook(address, limit=QUICK).finish("", "done")

    assert reason == "it is not an address that begins with https:// or http://"


def test_a_webhook_that_is_down_for_a_moment_gets_the_end(hook: WebhookServer) -> None:
    hook.manner = "500"
    webhook = Webhook(hook.address)
    original = hook.answer

    def recovers(handler: object) -> None:
        original(handler)
        hook.manner = "well"

    hook.answer = recovers  # type: ignore[method-assign]  # the fake itself, not what is tested
    assert webhook.finish("/1", "failed") is None
    assert [ping.path for ping in hook.pings] == ["/1", "/1"]


def test_a_run_that_fails_sends_its_code_and_last_lines_without_secrets(
    folders: Workshop, hook: WebhookServer
) -> None:
    text = (folders.directory / "materia.toml").read_text()
    folders.write("materia.toml", f"{text}\n{NOTIFY}")
    folders.write("in/2024-02.csv", "#remark look at pul-planted-token\napples,3\n")
    folders.write("in/2024-03.csv", "#fail the server refused pul-planted-token\n")
    secrets = {"MATERIA_RUN_WEBHOOK": hook.address, "PULUMI_ACCESS_TOKEN": "pul-planted-token"}

    done = folders.run("run", environment=secrets)

    assert done.returncode == 1, done.stdout + done.stderr
    start, end = hook.pings
    assert (start.path, end.path) == ("/start", "/1")
    assert "the server refused ***" in done.stderr
    assert end.text.startswith("materia run of folder on ")
    assert "the server refused ***" in end.text
    assert re.search(r"\nlast lines:\n(.*\n)*extract: .*look at \*\*\*", end.text)
    assert "planted" not in end.text + done.stderr + done.stdout


def test_a_run_that_succeeds_sends_success_and_a_trial_sends_nothing(
    workshop: Workshop, hook: WebhookServer
) -> None:
    workshop.write("materia.toml", NOTIFY)
    secrets = {"MATERIA_RUN_WEBHOOK": hook.address, "MATERIA_SWEEP_WEBHOOK": hook.address}

    trial = workshop.run("sweep", "--dry-run", environment=secrets)
    sample = workshop.run("pipeline", "run", "extract", "--sample", environment=secrets)
    assert (sample.returncode, hook.pings) == (0, []), trial.stderr
    sweep = workshop.run("sweep", "--provider", "local", environment=secrets)

    assert sweep.returncode == 0, sweep.stderr
    assert [ping.path for ping in hook.pings] == ["/start", ""]
    assert hook.pings[1].text.startswith("materia sweep of psdonline on ")


def test_a_sweep_that_cannot_ask_says_why(workshop: Workshop, hook: WebhookServer) -> None:
    workshop.write("materia.toml", f'provider = "hetzner"\n{NOTIFY}')

    done = workshop.run("sweep", environment={"MATERIA_SWEEP_WEBHOOK": hook.address})

    assert done.returncode == 2
    assert hook.pings[-1].path == "/2"
    assert "HCLOUD_TOKEN" in hook.pings[-1].text


@pytest.mark.parametrize("manner", ["404", "no HTTP"])
def test_the_exit_code_stays_whatever_the_webhook_does(
    workshop: Workshop, hook: WebhookServer, manner: Manner
) -> None:
    hook.manner = manner
    workshop.write("materia.toml", f'provider = "hetzner"\n{NOTIFY}')

    done = workshop.run("sweep", environment={"MATERIA_SWEEP_WEBHOOK": hook.address})

    assert done.returncode == 2
    assert "warning: cannot notify the webhook in MATERIA_SWEEP_WEBHOOK: " in done.stderr
    assert "planted" not in done.stderr


def test_a_missing_address_is_a_warning_for_a_run_and_an_error_for_the_check(
    workshop: Workshop,
) -> None:
    workshop.write("materia.toml", NOTIFY)

    sweep = workshop.run("sweep", "--provider", "local")
    check = workshop.run("secrets", "check")

    assert sweep.returncode == 0
    assert "no notification is sent: set MATERIA_SWEEP_WEBHOOK" in sweep.stderr
    assert check.returncode == 2
    assert "notify run: set MATERIA_RUN_WEBHOOK to use it" in check.stderr
