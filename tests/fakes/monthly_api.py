"""A declared source of an API that gives the orders of some days, page after page."""

from __future__ import annotations

import json
from collections.abc import Iterator

from materia_snapshots import Api, Months, Page, Pages, Snapshots, declare


def orders(api: Api) -> Iterator[Page]:
    """The orders of a month; the cursor is the number of a page."""
    number = int(api.cursor or 1)
    while True:
        days = {"first": api.period.first, "last": api.period.last}
        answer = api.get("orders", page=number, **days)
        number += 1
        yield Page(answer["orders"], str(number))
        if number > answer["pages"]:
            return


def answer(*totals: object) -> bytes:
    """The one page of a month."""
    found = [{"number": number, "total": total} for number, total in enumerate(totals)]
    return json.dumps({"pages": 1, "orders": found}).encode()


source = Snapshots(
    name="orders",
    summary="Orders by month",
    url="https://shop.example/v1",
    partitions=Months("", since="2026-01"),
    each="slice",
    form=Pages(orders, absent=(404,)),
    key=("number",),
    columns={"number": "INTEGER", "total": "DECIMAL(12, 2)"},
)
materia_sources = declare(source)
