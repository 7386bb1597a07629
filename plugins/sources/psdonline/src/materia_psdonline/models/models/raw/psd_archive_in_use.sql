MODEL (
  name raw.psd_archive_in_use,
  kind FULL,
  grain commodity_code,
  description 'The archive that each commodity is read from. USDA publishes the same rows in psd_alldata and in one archive per group (psd_coffee, psd_grains_pulses, ...); reading a commodity from two of them would count it twice. An archive that has the commodity in its newest release is preferred, then psd_alldata, then the archive with the newest release. A commodity that USDA has dropped keeps its row, so its history stays in sight. The two archives of area by EU member and by Russian region are left out: they repeat what is in the totals.',
  columns (
    commodity_code INT,
    archive TEXT,
    is_current BOOLEAN,
    latest_release DATE,
    market_year_shift SMALLINT
  ),
  column_descriptions (
    commodity_code = 'USDA commodity code as a number',
    archive = 'Archive its rows are read from, for example psd_alldata',
    is_current = 'Whether the newest release of that archive has the commodity; false for one that was dropped',
    latest_release = 'Newest loaded release of that archive, first day of its month',
    market_year_shift = 'Added to market_year to get the labelling that USDA uses today: coffee was relabelled by one year'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      commodity_code
    )),
    NOT_NULL(
      columns := (commodity_code, archive, is_current, latest_release, market_year_shift)
    ),
    NUMBER_OF_ROWS(threshold := 0)
  )
);

WITH newest AS (
  SELECT
    archive,
    MAX(release) AS latest_release,
    ARG_MAX(coffee_year_shift, release) AS coffee_year_shift
  FROM raw.psd_release
  WHERE
    NOT archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod')
  GROUP BY
    archive
), held AS (
  SELECT DISTINCT
    archive,
    commodity_code,
    TRUE AS is_current
  FROM raw.psd_value
  UNION ALL
  SELECT DISTINCT
    archive,
    commodity_code,
    FALSE AS is_current
  FROM raw.psd_value_ended
), ranked AS (
  SELECT
    held.commodity_code,
    newest.archive,
    held.is_current,
    newest.latest_release,
    newest.coffee_year_shift,
    ROW_NUMBER() OVER (
      PARTITION BY held.commodity_code
      ORDER BY NOT held.is_current, newest.archive <> 'psd_alldata', newest.latest_release DESC, newest.archive
    ) AS place
  FROM held
  JOIN newest
    USING (archive)
)
SELECT
  commodity_code,
  archive,
  is_current,
  latest_release,
  CASE WHEN commodity_code = 711100 THEN coffee_year_shift ELSE 0 END AS market_year_shift
FROM ranked
WHERE
  place = 1
ORDER BY
  commodity_code
