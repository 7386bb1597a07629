"""Views of every figure as of every month: a forecast carried forward, and balances as of then.

They are views of the raw layer, as `psd_by_release` is, and no models: whatever counts or exports
the models would read all of history for them.
"""

from __future__ import annotations

# Columns of serving.fct_balance, and the attributes that each is the first known one of.
COLUMNS = {
    "area_harvested": (4,),
    "beginning_stocks": (20,),
    "production": (28,),
    "imports": (57,),
    "total_supply": (86,),
    "exports": (88,),
    "domestic_use": (125, 126, 173, 142, 117, 135, 133),
    "crush": (7,),
    "feed_use": (130, 161, 158),
    "food_use": (149, 139),
    "industrial_use": (140,),
    "food_seed_industrial_use": (192,),
    "other_use": (),
    "ending_stocks": (176,),
    "total_distribution": (178,),
    "yield": (184,),
    "yield_production": (54, 28),
}
OTHER_USE = (132, 150, 169, 172)
# A release stands for the months up to the next one. Of several archives with a commodity, the one
# that raw.psd_archive_in_use chooses.
FORECAST = """
CREATE OR REPLACE VIEW raw.psd_forecast AS
WITH loaded AS (
    SELECT archive, release, coffee_year_shift,
        coalesce(
            lead(release) OVER (PARTITION BY archive ORDER BY release), release + INTERVAL 1 MONTH
        )::DATE AS next_release
    FROM raw.psd_release
), known AS (
    SELECT archive, release, coffee_year_shift,
        unnest(generate_series(release, next_release - INTERVAL 1 MONTH, INTERVAL 1 MONTH))::DATE
            AS month
    FROM loaded
), held AS (
    SELECT DISTINCT archive, commodity_code, TRUE AS is_current FROM raw.psd_value
    UNION ALL
    SELECT DISTINCT archive, commodity_code, FALSE AS is_current FROM raw.psd_value_ended
), chosen AS (
    SELECT commodity_code, archive
    FROM held JOIN (
        SELECT archive, max(release) AS newest FROM raw.psd_release
        WHERE archive::VARCHAR NOT IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod')
        GROUP BY archive
    ) AS last USING (archive)
    QUALIFY row_number() OVER (
        PARTITION BY commodity_code ORDER BY NOT is_current,
            archive::VARCHAR <> 'psd_alldata', newest DESC, archive::VARCHAR
    ) = 1
), figure AS (
    SELECT *, NULL::DATE AS end_release FROM raw.psd_value
    UNION ALL BY NAME
    SELECT * FROM raw.psd_value_ended
)
SELECT
    known.month,
    known.release,
    lpad(figure.commodity_code::VARCHAR, 7, '0') AS commodity_code,
    figure.country_code::VARCHAR AS country_code,
    (figure.market_year
        + CASE WHEN figure.commodity_code = 711100 THEN known.coffee_year_shift ELSE 0 END
    )::SMALLINT AS market_year,
    figure.attribute_id,
    figure.unit_id,
    figure.value
FROM figure
JOIN chosen USING (archive, commodity_code)
JOIN known ON known.archive = figure.archive
    AND known.release >= figure.first_release
    AND (figure.end_release IS NULL OR known.release < figure.end_release);

COMMENT ON VIEW raw.psd_forecast IS 'Every figure as it stood in every month: that of the release of
the month, or in a month without one that of the release before it. Filter on month for one state,
or on commodity, country, market year and attribute for the path of a figure; without a filter it is
all of history. The marketing year is in the labelling of today.';
"""


def forecast_views() -> str:
    """SQL that creates the views `psd_forecast` and `psd_balance_as_of`."""
    columns = ", ".join(f"{_column(attributes)} AS {name}" for name, attributes in COLUMNS.items())
    return f"""{FORECAST}
CREATE OR REPLACE VIEW raw.psd_balance_as_of AS
SELECT month, release, commodity_code, country_code, market_year, {columns},
    coalesce(
        max(unit_id) FILTER (attribute_id = 28), max(unit_id) FILTER (attribute_id = 176)
    ) AS quantity_unit_id
FROM raw.psd_forecast
GROUP BY month, release, commodity_code, country_code, market_year;

COMMENT ON VIEW raw.psd_balance_as_of IS 'Balances as of any month, in the columns of
serving.fct_balance. Filter on month: then DuckDB reads only the releases that it needs.';
"""


def _column(attributes: tuple[int, ...]) -> str:
    if not attributes:
        return f"({' + '.join(f'coalesce({_cell(one)}, 0)' for one in OTHER_USE)})::DECIMAL(18, 4)"
    return f"coalesce({', '.join(map(_cell, attributes))})"


def _cell(attribute: int) -> str:
    return f"max(value) FILTER (attribute_id = {attribute})"
