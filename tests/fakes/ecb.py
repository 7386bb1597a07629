"""The ECB's data service on this machine: rates of a year as CSV, for the contract of `ecb`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from materia_testing.contracts.sources.served import ServedFiles, serving

HEADER = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE"
# Made up; the ECB's own figures are not needed to tell two editions apart.
EDITIONS = {
    1: {("USD", "01-03"): "1.10", ("USD", "01-04"): "1.20", ("JPY", "01-03"): "160.1"},
    2: {("USD", "01-03"): "1.10", ("USD", "01-04"): "1.25", ("BRL", "01-03"): "NaN"},
}


def csv(key: str, edition: int) -> str:
    """The answer of the service for a year."""
    rows = [
        f"EXR.D.{currency}.EUR.SP00.A,D,{currency},EUR,SP00,A,{key}-{day},{rate}"
        for (currency, day), rate in EDITIONS[edition].items()
    ]
    return "\n".join([HEADER, *rows, ""])


def path_of(key: str) -> str:
    """The request for the rates of a year."""
    return (
        f"D..EUR.SP00.A?startPeriod={key}-01-01&endPeriod={key}-12-31"
        "&format=csvdata&detail=dataonly"
    )


class EcbServer(ServedFiles):
    """A `materia_testing.contracts.source.World` whose files differ from year to year."""

    def __init__(self) -> None:
        super().__init__(
            {key: f"service/data/EXR/{path_of(key)}" for key in ("2023", "2024", "2025")},
            now=datetime(2025, 3, 1, tzinfo=UTC),
            editions=(),
            damaged={
                "a page": (b"<!doctype html><title>Maintenance</title>", "HTML page"),
                "letters": (b"", "CURRENCY"),
                "no days": (b"", "lacks the key column TIME_PERIOD"),
                "a day of another form": (b"", "which is no date"),
            },
            table="raw.ecb_row",
        )

        self.lacks = {"rewrap": "these files have no wrapping"}

    def expected(self, key: str, edition: int) -> list[dict[str, str | None]]:
        """The rates of `EDITIONS`; NaN is what the service gives for a rate that is missing."""
        return [
            {
                "currency": currency,
                "rate": None if rate == "NaN" else rate.rstrip("0"),
                "rate_on": f"{key}-{day}",
            }
            for (currency, day), rate in sorted(EDITIONS[edition].items())
        ]

    def _columns(self) -> list[str]:
        return ["currency", "rate", "rate_on"]

    def publish(self, key: str, edition: int) -> None:
        self._files[self._paths[key]] = csv(key, edition).encode()

    def damage(self, key: str, how: str) -> None:
        whole = csv(key, 1)
        text = {
            "letters": whole.replace("CURRENCY,", "CURRENCIES,", 1),
            "no days": whole.replace("TIME_PERIOD", "PERIOD"),
            "a day of another form": whole.replace(f"{key}-01-03", f"3/1/{key}"),
        }.get(how)
        self._files[self._paths[key]] = text.encode() if text else self._damaged[how]


@contextmanager
def ecb_server() -> Iterator[EcbServer]:
    """The service, running."""
    world = EcbServer()
    with serving(world) as address:
        world.settings |= {"url": f"{address}/service/data/EXR", "since": "2023"}
        yield world
