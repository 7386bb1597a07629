"""Time travel: the view `psd_by_release` and the macro `as_of(release)` return one release.

A macro finds its tables only in the current database: in an attached one DuckDB 1.5 looks for its
schema `raw` in the wrong place. A view works in both. So the view returns the same rows, with a
column `release` to filter on. The macro also chooses the release for a month that had none, and
fails with a message when there is none.
"""

from __future__ import annotations

PAIRS = ("psd_value", "psd_stamp", "psd_label")
_NAMED = """
    lpad(line.commodity_code::VARCHAR, 7, '0') AS Commodity_Code,
    commodity.label AS Commodity_Description,
    line.country_code::VARCHAR AS Country_Code,
    country.label AS Country_Name,
    line.market_year AS Market_Year,
    line.calendar_year AS Calendar_Year,
    lpad(line.month::VARCHAR, 2, '0') AS Month,
    lpad(line.attribute_id::VARCHAR, 3, '0') AS Attribute_ID,
    attribute.label AS Attribute_Description,
    lpad(line.unit_id::VARCHAR, 2, '0') AS Unit_ID,
    unit.label AS Unit_Description,
    line.value AS Value
"""
# Kind of label, and the condition that matches a line's code with the label's code, which is text.
_CODES = {
    "commodity": "code::INTEGER = line.commodity_code",
    "country": "code = line.country_code",
    "attribute": "code::SMALLINT = line.attribute_id",
    "unit": "code::TINYINT = line.unit_id",
}
# The requested month, or an error that lists the possible ones. For a month after the newest
# release the macro returns that release, if the month has begun.
_ASKED = r"""
    SELECT
        (CASE
            WHEN known.newest IS NULL THEN error('as_of: no release is loaded')
            WHEN wanted IS NOT NULL AND known.newest_of_wanted IS NULL THEN error(
                'as_of: no release of the file ''' || wanted || ''' is loaded; loaded are '
                || known.files)
            WHEN NOT coalesce(
                regexp_full_match(text, '\d{4}-(0[1-9]|1[0-2])(-[0-3]\d(\D.*)?)?'), FALSE
            ) THEN error(
                'as_of: ''' || coalesce(text, 'NULL') || ''' is not a month; '
                || 'give one such as ''2024-05'' or a date, from ' || known.range)
            WHEN left(text, 7) < left(known.oldest::VARCHAR, 7)
                OR left(text, 7) > left(greatest(known.newest, current_date)::VARCHAR, 7)
            THEN error(
                'as_of: no release for ' || left(text, 7) || '; give a month from '
                || known.range)
            ELSE left(text, 7) || '-01'
        END)::DATE AS day,
        wanted
    FROM (
        SELECT
            min(loaded.release) FILTER (coalesce(wanted = loaded.archive::VARCHAR, TRUE)) AS oldest,
            max(loaded.release) AS newest,
            max(loaded.release) FILTER (wanted = loaded.archive::VARCHAR) AS newest_of_wanted,
            string_agg(
                DISTINCT loaded.archive::VARCHAR, ', ' ORDER BY loaded.archive::VARCHAR
            ) AS files,
            left(oldest::VARCHAR, 7) || ' to '
                || left(coalesce(newest_of_wanted, newest)::VARCHAR, 7) AS range,
            any_value(text) AS text, any_value(wanted) AS wanted
        FROM (SELECT release::VARCHAR AS text, file::VARCHAR AS wanted) AS given
        LEFT JOIN raw.psd_release AS loaded ON TRUE
    ) AS known
"""


def release_views(balance: str, resolved: str) -> str:
    """SQL that creates the view and the macro.

    *balance* are the columns that a stamp belongs to; *resolved* those of a line, from a value `v`
    and its stamp `s`.
    """
    return f"""
CREATE OR REPLACE VIEW raw.psd_by_release AS
WITH {", ".join(f"{pair}_then AS ({_by_release(pair)})" for pair in PAIRS)},
line AS (
    SELECT v.release, v.archive, {resolved}
    FROM psd_value_then AS v JOIN psd_stamp_then AS s USING (release, archive, {balance})
)
SELECT line.release, line.archive::VARCHAR AS archive, {_NAMED}
FROM line {_labels("release", "archive")};

COMMENT ON VIEW raw.psd_by_release IS 'Every loaded release, row for row, in the columns and codes
of its file. Filter on release, the first day of its month: then DuckDB reads only that release.
This view also works in an attached database, where the macro as_of does not.';

CREATE OR REPLACE MACRO as_of(release, file := NULL) AS TABLE
WITH asked AS ({_ASKED}),
{", ".join(f"{pair}_then AS ({_as_of(pair)})" for pair in PAIRS)},
line AS (
    SELECT v.archive, {resolved}
    FROM psd_value_then AS v JOIN psd_stamp_then AS s USING (archive, {balance})
    WHERE v.archive::VARCHAR = coalesce(v.wanted, v.archive::VARCHAR)
)
SELECT {_NAMED} FROM line {_labels("archive")};
"""


def _by_release(pair: str) -> str:
    return f"""
    SELECT r.release, t.* EXCLUDE (first_release)
    FROM raw.psd_release AS r JOIN raw.{pair} AS t
        ON t.archive = r.archive AND t.first_release <= r.release
    UNION ALL BY NAME
    SELECT r.release, t.* EXCLUDE (first_release, end_release)
    FROM raw.psd_release AS r JOIN raw.{pair}_ended AS t
        ON t.archive = r.archive AND t.first_release <= r.release AND t.end_release > r.release
    """


def _as_of(pair: str) -> str:
    return f"""
    SELECT * EXCLUDE (first_release) FROM raw.{pair}, asked WHERE first_release <= day
    UNION ALL BY NAME
    SELECT * EXCLUDE (first_release, end_release) FROM raw.{pair}_ended, asked
    WHERE first_release <= day AND end_release > day
    """


def _labels(*columns: str) -> str:
    return "".join(
        f"""
        LEFT JOIN psd_label_then AS {kind}
            ON {" AND ".join(f"{kind}.{name} = line.{name}" for name in columns)}
            AND {kind}.kind = '{kind}' AND {kind}.{code}
        """
        for kind, code in _CODES.items()
    )
