MODEL (
  name cleaned.cln_psdalldata__revision,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column release
  ),
  grain (archive, release, commodity_code, country_code, market_year, attribute_id),
  description 'Revisions: every figure that a release changed against the release before it: revised, new, or dropped. A row with only a new edit stamp is not a revision. Incremental by release: a row depends only on two neighbouring releases, so a new or replaced release rebuilds its own rows and those of the one after it.',
  columns (
    release DATE,
    archive TEXT,
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id SMALLINT,
    unit_id TINYINT,
    previous_unit_id TINYINT,
    previous_value DECIMAL(18, 4),
    current_value DECIMAL(18, 4),
    kind TEXT
  ),
  column_descriptions (
    release = 'Release that made the change, first day of its month',
    archive = 'Archive it was seen in',
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code',
    market_year = 'Marketing year in today''s labelling, so that the relabelling of coffee is no revision',
    attribute_id = 'USDA attribute id',
    unit_id = 'Unit of the value now, or of the last one when it was dropped',
    previous_unit_id = 'Unit of the value before; null when new',
    previous_value = 'Value in the release before; null when new',
    current_value = 'Value in this release; null when dropped',
    kind = 'revised, new or dropped'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(
      columns := (release, archive, commodity_code, country_code, market_year, attribute_id)
    ),
    NOT_NULL(
      columns := (release, commodity_code, country_code, market_year, attribute_id, kind)
    ),
    ACCEPTED_VALUES("column" := kind, is_in := ('revised', 'new', 'dropped'))
  )
);

WITH change AS (
  SELECT
    *
  FROM staging.stg_psdalldata__change
  WHERE
    release BETWEEN @start_date AND @end_date
), came AS (
  SELECT
    *
  FROM change
  WHERE
    is_added
), went AS (
  SELECT
    *
  FROM change
  WHERE
    NOT is_added
)
SELECT
  COALESCE(came.release, went.release) AS release,
  COALESCE(came.archive, went.archive) AS archive,
  COALESCE(came.commodity_code, went.commodity_code) AS commodity_code,
  COALESCE(came.country_code, went.country_code) AS country_code,
  COALESCE(came.market_year, went.market_year) AS market_year,
  COALESCE(came.attribute_id, went.attribute_id) AS attribute_id,
  COALESCE(came.unit_id, went.unit_id) AS unit_id,
  went.unit_id AS previous_unit_id,
  went.value AS previous_value,
  came.value AS current_value,
  CASE
    WHEN went.release IS NULL
    THEN 'new'
    WHEN came.release IS NULL
    THEN 'dropped'
    ELSE 'revised'
  END AS kind
FROM came
FULL JOIN went
  ON came.release = went.release
  AND came.archive = went.archive
  AND came.commodity_code = went.commodity_code
  AND came.country_code = went.country_code
  AND came.market_year = went.market_year
  AND came.attribute_id = went.attribute_id
WHERE
  came.value IS DISTINCT FROM went.value
  OR came.unit_id IS DISTINCT FROM went.unit_id
ORDER BY
  release,
  commodity_code,
  country_code,
  market_year,
  attribute_id
