"""Real command lines with variables for proxies and certificates that cannot be used."""

from __future__ import annotations

import subprocess

import pytest
from fakes.examples import of_each_kind
from fakes.psd import balances, zip_rows
from fakes.usda import UsdaServer
from fakes.workshop import Workshop

FAULTS = [
    ("ALL_PROXY", "socks5://127.0.0.1:1080"),
    ("ALL_PROXY", "http://me:hunter2@proxy:port"),
    ("SSL_CERT_FILE", "/no/such.pem"),
]
# A provider, and a variable that its client reads.
READ = [
    (name, variable, value)
    for name in ("hetzner", "scaleway", "ovh", "oracle")
    for variable, value in [
        *FAULTS[:2],
        FAULTS[2] if name in {"ovh", "oracle"} else ("REQUESTS_CA_BUNDLE", "/no/such.pem"),
    ]
]


def told(ended: subprocess.CompletedProcess[str]) -> str:
    text = ended.stdout + ended.stderr
    assert "Traceback" not in text
    assert "its plugin failed" not in text
    assert "hunter2" not in text
    return text


def usda_at(workshop: Workshop, base_url: str) -> None:
    workshop.write(
        "materia.toml",
        f'[sources.psdonline]\nbase_url = "{base_url}"\nfirst_release = "2025-11"\n',
    )


@pytest.mark.parametrize(("variable", "value"), FAULTS)
def test_a_run_says_which_variable_cannot_be_used(
    workshop: Workshop, variable: str, value: str
) -> None:
    usda_at(workshop, "https://usda.example/archives")
    ended = workshop.run("pipeline", "run", "extract", environment={variable: value})

    assert ended.returncode == 2
    assert len(told(ended).splitlines()) == 1
    assert ended.stderr.startswith(f"materia: {variable} is ")
    assert "or unset it" in ended.stderr


def test_a_run_goes_on_with_entries_of_no_proxy_that_cannot_matter(workshop: Workshop) -> None:
    with UsdaServer() as usda:
        usda.publish("2025/11/psd_alldata_csv.zip", zip_rows(balances("2025-11")))
        usda_at(workshop, usda.base_url)
        environment = {"NO_PROXY": "localhost,fe80::/10,[::1],::1/128,[", "ALL_PROXY": ""}
        ended = workshop.run("pipeline", "run", "extract", environment=environment)

        assert ended.returncode == 0, told(ended)


@pytest.mark.parametrize(("variable", "value"), FAULTS)
def test_secrets_check_says_why_esc_cannot_be_asked(
    workshop: Workshop, variable: str, value: str
) -> None:
    workshop.install("secretive", "fakes.secretive")
    workshop.write("materia.toml", 'source = "secretive"\n[secrets]\nesc = "acme/beans/prod"\n')
    environment = {variable: value, "PULUMI_ACCESS_TOKEN": "pul-x"}
    ended = workshop.run("secrets", "check", environment=environment)

    assert ended.returncode == 2
    assert f"Pulumi ESC acme/beans/prod cannot be read: {variable} is " in told(ended)


@pytest.mark.parametrize(("name", "variable", "value"), of_each_kind(READ, "hetzner"))
def test_prices_are_refused_with_the_variable_that_cannot_be_used(
    workshop: Workshop, name: str, variable: str, value: str
) -> None:
    secrets = {"HCLOUD_TOKEN": "x" * 64}
    ended = workshop.run(
        "providers", "price", "--provider", name, environment={variable: value, **secrets}
    )

    assert ended.returncode != 0
    assert f"{variable} is " in told(ended)
