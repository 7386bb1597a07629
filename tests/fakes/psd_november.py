"""One release on USDA's server, that of November 2025, for tests that fetch it."""

from __future__ import annotations

from collections.abc import Callable

from fakes.psd import balances, zip_rows
from materia.data import FetchResult

NOVEMBER = "2025/11/psd_alldata_csv.zip"
ROWS = balances("2025-11")
ARCHIVE = zip_rows(ROWS)
Fetch = Callable[..., FetchResult]
