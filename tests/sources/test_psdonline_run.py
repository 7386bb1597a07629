"""The extract stage as a user runs it, on a server of our own."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime

import pytest
from fakes.psd import balances, zip_rows
from fakes.psd_damage import DAMAGES
from fakes.usda import Fault, UsdaServer
from fakes.workshop import Workshop

MONTHS = ("2025-08", "2025-09", "2025-11")


def path_of(month: str) -> str:
    return f"{month[:4]}/{month[5:]}/psd_alldata_csv.zip"


@pytest.fixture
def psd(workshop: Workshop, usda: UsdaServer) -> Workshop:
    """A workshop that reads three releases; there was none in 2025-10."""
    workshop.write(
        "materia.toml",
        f'[sources.psdonline]\nbase_url = "{usda.base_url}"\nfirst_release = "2025-08"\n',
    )
    for month in MONTHS:
        usda.publish(path_of(month), zip_rows(balances(month)))
    return workshop


def extract(workshop: Workshop, *, code: int = 0) -> dict[str, object]:
    done = subprocess.run(
        workshop.command("pipeline", "run", "extract", "--json"),
        cwd=workshop.directory,
        env=workshop.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    result = report["stages"][0]["result"]
    assert isinstance(result, dict)
    return result


def files(workshop: Workshop) -> list[str]:
    """Months of the files in use or replaced, quarantine left out."""
    kept = (path.as_posix() for path in (workshop.directory / "raw").rglob("*.zip"))
    return sorted(
        re.findall(r"/(\d{4}-\d\d)\b", path)[-1] for path in kept if "/quarantine/" not in path
    )


def test_a_second_run_makes_conditional_requests_and_no_others(
    psd: Workshop, usda: UsdaServer
) -> None:
    first = extract(psd)
    count = len(usda.requests)
    second = extract(psd)
    asked = usda.since(count)
    later = datetime.now(UTC)
    after = (later.year - 2025) * 12 + later.month - 11  # months that are not there yet

    assert first["fetched"] == 3
    assert (second["fetched"], second["unchanged"]) == (0, 3)
    conditional = sorted(request.path for request in asked if request.status == 304)
    assert conditional == [path_of(month) for month in MONTHS]
    assert path_of("2025-10") not in {request.path for request in asked}
    assert sum(request.status == 404 for request in asked) == after
    assert sum(request.sent for request in asked if request.status != 404) == 0


def test_a_bad_month_is_named_and_kept_aside_and_the_others_are_fetched(
    psd: Workshop, usda: UsdaServer
) -> None:
    usda.publish(path_of("2025-09"), DAMAGES["a second member"](balances("2025-09")))

    result = extract(psd, code=1)

    assert (result["fetched"], result["refused"]) == (2, 1)
    problems = result["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 1
    problem = problems[0]
    assert problem["url"] == f"{usda.base_url}/{path_of('2025-09')}"
    assert "holds 2 members" in problem["reason"]
    assert files(psd) == ["2025-08", "2025-11"]
    assert len(list((psd.directory / "raw").rglob("quarantine/*.zip"))) == 1


def test_a_bad_month_is_confirmed_once_and_replaced_when_it_is_good(
    psd: Workshop, usda: UsdaServer
) -> None:
    usda.publish(path_of("2025-09"), DAMAGES["a second member"](balances("2025-09")))
    extract(psd, code=1)
    count = len(usda.requests)
    second = extract(psd)
    extract(psd)
    again = [request for request in usda.since(count) if request.path == path_of("2025-09")]
    usda.publish(path_of("2025-09"), zip_rows(balances("2025-09")))
    extract(psd)

    assert [request.status for request in again] == [200, 304]
    assert second["quarantined"]
    assert files(psd) == list(MONTHS)


def test_a_server_error_on_one_month_is_made_good_by_the_next_run(
    psd: Workshop, usda: UsdaServer
) -> None:
    usda.fail(Fault(kind="status", status=403, path=path_of("2025-09")))
    broken = extract(psd, code=1)
    usda.heal()
    mended = extract(psd)

    assert (broken["fetched"], broken["failed"]) == (2, 1)
    assert (mended["fetched"], mended["unchanged"]) == (1, 2)
    assert files(psd) == list(MONTHS)
