"""Examples of a test, of which one of each kind runs always and the others in campaigns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def of_each_kind(examples: Iterable[Any], *shown: object) -> list[Any]:
    """The parameters *examples*; those that are not *shown* are campaigns.

    An example of several parameters, a tuple, is shown by its first.
    """
    given = [one if isinstance(one, tuple) else (one,) for one in examples]
    missing = [one for one in shown if one not in [values[0] for values in given]]
    assert not missing, f"no example is {missing}"
    return [
        pytest.param(*values, marks=() if values[0] in shown else pytest.mark.campaign)
        for values in given
    ]
