"""What no figure of a release can be: later than it, beyond any size or year, or a sum of others.

Pure values and functions; `docs/data.md` states them with their reasons.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

# The largest of the real figures seen is 518,195, in thousands of tonnes; written in tonnes it
# would be 5 x 10^8. Two thousand times that is no harvest, and sums of such do not fit their type.
VALUE_LIMIT = 10**12
# The first market year is 1960, and forecasts reach one year ahead.
FIRST_YEAR, LAST_YEAR = 1900, 2100
# The width of a code is lost when it is kept as a number, so it is checked.
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
# of countries begin with a letter. The European Union (E2, E3, E4) is no sum of other rows.
REGIONS = frozenset(
    {
        *("world", "north america", "caribbean", "central america", "south america"),
        *("former soviet union - 12", "middle east", "north africa", "sub-saharan africa"),
        *("south asia", "oceania", "other europe", "southeast asia", "east asia"),
    }
)
SUMS = re.compile(r"\b(world|total|all countries|major (ex|im)porters)\b")


def is_sum(code: str, name: str) -> bool:
    """Whether that country is the sum of others."""
    plain = " ".join(name.casefold().split())
    return code[:1].isdigit() or plain in REGIONS or SUMS.search(plain) is not None


def control_character(text: str) -> str | None:
    """The first character that no name has, such as NUL; ends of lines and tabs are none."""
    return next(
        (one for one in text if unicodedata.category(one) == "Cc" and one not in "\t\r\n"), None
    )


def stamp_of(release: date) -> int:
    """A month as one number, `202511`: the newest that a balance of the release can carry."""
    return release.year * 100 + release.month


def month_of(stamp: int) -> str:
    """`202511` -> `2025-11`."""
    return f"{stamp // 100:04}-{stamp % 100:02}"
