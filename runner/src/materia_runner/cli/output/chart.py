"""Chart of cost against duration: in the terminal, or in a file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from string import ascii_lowercase

from materia.errors import ConfigError
from materia.text import duration_text

from materia_runner.install_hints import install_command
from materia_runner.pricing.curve import Curve, Lead, leads

SUFFIXES = (".svg", ".png", ".pdf")


def check_target(target: str) -> None:
    """Refuse a file that cannot be written, before any provider is asked.

    Raises:
        ConfigError: its name has another ending, or its folder does not exist.
    """
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--chart {target}: end the name in {', '.join(SUFFIXES[:-1])} or .pdf")
    if not path.parent.is_dir():
        raise ConfigError(f"--chart {target}: the folder {path.parent} does not exist; create it")


def _missing() -> ConfigError:
    command = install_command("materia-runner[chart]")
    return ConfigError(f"--chart needs packages that are not installed; to install them: {command}")


def draw(curves: Sequence[Curve], *, title: str, currency: str) -> str:
    """Draw the curves in characters, as wide as the terminal.

    Raises:
        ConfigError: the extra `chart` is not installed.
    """
    try:
        import plotext  # type: ignore[import-untyped]  # it has no stubs
    except ImportError as error:
        raise _missing() from error

    width, height = shutil.get_terminal_size((100, 30))
    figure = plotext.figure
    figure.clear()
    figure.plot_size(min(width, 140), min(max(height - 8, 15), 30))
    scale, unit = _scale(curves)
    for curve, letter in zip(curves, _letters(curves), strict=True):
        line = figure.signal(*_steps(curve, scale), marker=letter)
        line.lines()
        line.label(curve.provider)
        figure.draw(line)
    figure.title(title)
    figure.label(unit, "x")
    figure.label(currency, "y")
    # Letters distinguish the curves everywhere; colours would add a background.
    picture: str = plotext.uncolorize(str(figure.build()))
    return "\n".join(line.rstrip() for line in picture.splitlines()).rstrip("\n")


def _letters(curves: Sequence[Curve]) -> list[str]:
    """A distinct letter for each curve, from its provider's name where one is left."""
    letters: list[str] = []
    for curve in curves:
        wanted = [*curve.provider, *ascii_lowercase]
        letters.append(next((one for one in wanted if one not in letters), "?"))
    return letters


def save(
    curves: Sequence[Curve], path: Path, *, title: str, currency: str, mark: timedelta
) -> None:
    """Save the curves to a .svg, .png or .pdf file.

    Raises:
        ConfigError: the extra `chart` is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise _missing() from error

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    scale, unit = _scale(curves)
    for curve in curves:
        lengths, costs = _steps(curve, scale)
        axes.plot(lengths, costs, label=curve.provider, linewidth=1.8)
    axes.axvline(mark / scale, color="grey", linestyle=":", linewidth=1)
    axes.set(title=title, xlabel=f"duration, {unit}", ylabel=f"cost, {currency} net of VAT")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ConfigError(f"cannot write --chart {path}: {error.strerror}") from error


def leads_text(curves: Sequence[Curve]) -> str:
    """The cheapest provider for each range of durations, in words."""
    return "cheapest: " + ", ".join(_lead(lead) for lead in leads(curves))


def _lead(lead: Lead) -> str:
    if lead.first == lead.last:
        return f"{lead.provider} at {duration_text(lead.first)}"
    return f"{lead.provider} from {duration_text(lead.first)} to {duration_text(lead.last)}"


def _scale(curves: Sequence[Curve]) -> tuple[timedelta, str]:
    longest = curves[0].durations[-1]
    if longest <= timedelta(hours=4):
        return timedelta(minutes=1), "minutes"
    return (
        (timedelta(hours=1), "hours")
        if longest <= timedelta(days=4)
        else (
            timedelta(days=1),
            "days",
        )
    )


def _steps(curve: Curve, scale: timedelta) -> tuple[list[float], list[float]]:
    """Points of a step function: between two samples the cost is that of the longer."""
    lengths = [0.0]
    costs = [float(curve.costs[0])]
    for duration, amount in zip(curve.durations, curve.costs, strict=True):
        if float(amount) != costs[-1]:
            lengths.append(lengths[-1])
            costs.append(float(amount))
        lengths.append(duration / scale)
        costs.append(float(amount))
    return lengths, costs
