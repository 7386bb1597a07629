"""A provider and a sink that say their secrets aloud in every error they raise."""

from __future__ import annotations

from typing import Any, NoReturn

from materia import Opening, Plugin, Provider, Setting, Sink, hookimpl
from materia.errors import ProviderError, SinkError

HOW = Setting(name="how", kind="text", default="expected", help="How it fails.")


class Loud:
    """Whatever it is asked, it fails."""

    def __init__(self, secret: str, region: str, how: str, expected: type[Exception]) -> None:
        self._words = f"{secret} and {secret!r} in {region}"
        self._how = how
        self._expected = expected

    def __getattr__(self, _name: str) -> Any:
        return self._fail

    def _fail(self, *_: object, **__: object) -> NoReturn:
        if self._how == "expected":
            raise self._expected(f"loud: refused {self._words}")
        raise RuntimeError(f"no such thing: {self._words}") from KeyError(self._words)


def open_provider(opening: Opening) -> Provider:
    secrets = opening.secrets
    how = str(opening.settings["how"])
    provider: Provider = Loud(secrets["LOUD_TOKEN"], secrets["LOUD_REGION"], how, ProviderError)
    return provider


def open_sink(opening: Opening) -> Sink:
    secrets = opening.secrets
    how = str(opening.settings["how"])
    sink: Sink = Loud(secrets["LOUD_TOKEN"], secrets["LOUD_REGION"], how, SinkError)
    return sink


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [
        Plugin(
            name="loud",
            summary="fails aloud",
            open=open_provider,
            secrets=("LOUD_TOKEN", "LOUD_REGION"),
            settings=(HOW,),
        )
    ]


@hookimpl
def materia_sinks() -> list[Plugin[Sink]]:
    return [
        Plugin(
            name="loud",
            summary="fails aloud",
            open=open_sink,
            secrets=("LOUD_TOKEN", "LOUD_REGION"),
            settings=(HOW,),
        )
    ]
