"""The `ecb` source: euro reference exchange rates of the European Central Bank, by year.

The ECB Data Portal gives the series `D..EUR.SP00.A` of the dataflow EXR (daily, every currency,
against the euro, reference rates) as CSV with a row for each currency and working day, and takes
the first and the last day as parameters (https://data.ecb.europa.eu/help/api/data and
https://data.ecb.europa.eu/help/data-examples, read 2026-11). With `detail=dataonly` it leaves out
the attributes of the series; their columns are ignored should they come all the same.
"""

from pathlib import Path

from materia_snapshots import Column, Csv, Snapshots, Years, declare

DIMENSIONS = ("KEY", "FREQ", "CURRENCY_DENOM", "EXR_TYPE", "EXR_SUFFIX")
ATTRIBUTES = (
    *("OBS_STATUS", "OBS_CONF", "OBS_PRE_BREAK", "OBS_COM", "TIME_FORMAT", "BREAKS", "COLLECTION"),
    *("COMPILING_ORG", "DISS_ORG", "DOM_SER_IDS", "PUBL_ECB", "PUBL_MU", "PUBL_PUBLIC", "TITLE"),
    *("UNIT_INDEX_BASE", "COMPILATION", "COVERAGE", "DECIMALS", "NAT_TITLE", "SOURCE_AGENCY"),
    *("SOURCE_PUB", "TITLE_COMPL", "UNIT", "UNIT_MULT"),
)
source = Snapshots(
    name="ecb",
    summary="Euro reference exchange rates of the European Central Bank, by working day",
    url="https://data-api.ecb.europa.eu/service/data/EXR",
    partitions=Years(
        "D..EUR.SP00.A?startPeriod={date}&endPeriod={last}&format=csvdata&detail=dataonly",
        since="1999",
    ),
    each="slice",
    form=Csv(missing=("NaN",)),
    key=("currency", "rate_on"),
    columns={
        "currency": Column(type="TEXT", header="CURRENCY", comment="ISO 4217 code, such as USD"),
        "rate_on": Column(type="DATE", header="TIME_PERIOD", comment="Working day of the rate"),
        "rate": Column(
            type="DOUBLE",
            header="OBS_VALUE",
            comment="Units of the currency for one euro, around 14:15 Central European Time",
        ),
    },
    schema="evolve",
    ignore=(*DIMENSIONS, *ATTRIBUTES),
    sample=Path(__file__).parent / "sample",
)
materia_sources = declare(source)
