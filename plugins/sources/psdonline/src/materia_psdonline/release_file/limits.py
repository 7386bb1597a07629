"""Validation limits for a release: newest stamp, range of years and values, sums of countries.

Pure values and functions; `docs/data.md` lists them with their reasons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from materia.kit.text import printable

# The largest of the real figures seen is 518,195, in thousands of tonnes; written in tonnes it
# would be 5 x 10^8. Two thousand times that is not a harvest, and such sums do not fit their type.
VALUE_LIMIT = 10**12
# The first market year is 1960, and forecasts reach one year ahead.
FIRST_YEAR, LAST_YEAR = 1900, 2100
# A code loses its width when it becomes a number, so the width is checked.
FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "commodity": (re.compile(r"[0-9]{7}"), "seven digits such as 0410000"),
    "country": (re.compile(r"[0-9A-Z]{2}"), "two capitals or digits such as BR"),
    "attribute": (re.compile(r"[0-9]{3}"), "three digits such as 028"),
    "unit": (re.compile(r"[0-9]{2}"), "two digits such as 08"),
}
MONTH = re.compile(r"0[0-9]|1[0-2]")
YEAR = re.compile(r"[0-9]{4}")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
DECIMALS = 4
# USDA's API has the world as country 00, and its regions. The files have neither, and all 251 codes
# of countries begin with a letter. The European Union (E2, E3, E4) is not a sum of rows, and
# some words of sums occur in names of countries: "Other Pacific Islands", "South Africa".
REGIONS = frozenset(
    {
        *("world", "north america", "caribbean", "central america", "south america"),
        *("middle east", "sub-saharan africa", "oceania", "other europe", "near east"),
        *("globe", "eurasia", "asia pacific", "asia and the pacific", "balkans", "baltics"),
    }
)
_PARTS = r"(north|south|east|west|central|middle|southeast|northeast|southwest|northwest|latin)"
CONTINENTS = re.compile(rf"({_PARTS}(ern)?[ -](and )?)*(africa|americas?|asia|europe)|the americas")
SUMS = re.compile(
    r"\b(world(wide)?|global|(sub|grand)?-?totals?|sum|all (other )?countries|aggregate)\b"
    r"|\b(major|selected|leading|top|other|all) (foreign|(ex|im)porters|producers|consumers)\b"
    r"|\brest of\b|^(fsu|former soviet union)( ?- ?12)?$"
    r"|^(all )?others?( countries| foreign| regions)?$"
)


def is_sum(code: str, name: str) -> bool:
    """Whether that country is the sum of others."""
    plain = " ".join(name.casefold().split())
    return (
        code[:1].isdigit()
        or plain in REGIONS
        or (CONTINENTS.fullmatch(plain) is not None and plain != "south africa")
        or SUMS.search(plain) is not None
    )


def control_character(text: str) -> str | None:
    """The first invisible character, such as NUL; line ends and tabs are allowed."""
    if printable(text) == text:
        return None
    return next((one for one in text if one not in "\t\r\n" and printable(one) != one), None)


def stamp_of(release: date) -> int:
    """The newest stamp that a balance of the release can have, as a number: `202511`."""
    return release.year * 100 + release.month


def month_of(stamp: int) -> str:
    """`202511` -> `2025-11`."""
    return f"{stamp // 100:04}-{stamp % 100:02}"
