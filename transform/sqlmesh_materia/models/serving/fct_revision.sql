MODEL (
  name serving.fct_revision,
  kind VIEW,
  grain (release, commodity_code, country_code, market_year, attribute_id),
  references (commodity_code, country_code),
  description 'Revision history of each figure: one row per release and changed figure, with the first known value, the previous and the new one. An unchanged figure has no row; the oldest loaded release has none, since no release is before it. For the state at one moment use FROM as_of(DATE ''2024-05-01'').',
  columns (
    release DATE,
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id SMALLINT,
    unit_id TINYINT,
    kind TEXT,
    revision_number INT,
    horizon_months SMALLINT,
    first_value DECIMAL(18, 4),
    previous_value DECIMAL(18, 4),
    current_value DECIMAL(18, 4),
    change DECIMAL(18, 4),
    change_percent DOUBLE,
    change_from_first DECIMAL(18, 4),
    change_from_first_percent DOUBLE
  ),
  column_descriptions (
    release = 'Release that made the change, first day of its month',
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code',
    market_year = 'Marketing year in today''s labelling: 2025 is 2025/26',
    attribute_id = 'USDA attribute id, see stg_psdalldata__attribute',
    unit_id = 'USDA unit id',
    kind = 'revised, new (not in the release before) or dropped (not in this one)',
    revision_number = 'Number of the change of this figure, 1 for the first',
    horizon_months = 'Months from the release to December of the year that labels the market year: 7 in May, when a new year enters; negative once that December is past',
    first_value = 'The first known value: when it was new, or in the oldest loaded release',
    previous_value = 'Value before this release; null when new',
    current_value = 'Value from this release on; null when dropped',
    change = 'Current - previous; null when new, dropped or in another unit than before',
    change_percent = 'Change in percent of the previous value; null when that was 0',
    change_from_first = 'Current - first',
    change_from_first_percent = 'Change from the first value in percent of it; null when that was 0'
  ),
  audits (
    NOT_NULL(
      columns := (release, commodity_code, country_code, market_year, attribute_id, kind)
    )
  )
);

WITH ordered AS (
  SELECT
    revision.release,
    revision.commodity_code,
    revision.country_code,
    revision.market_year,
    revision.attribute_id,
    revision.unit_id,
    revision.kind,
    revision.previous_value,
    revision.current_value,
    revision.previous_unit_id IS NULL OR revision.previous_unit_id = revision.unit_id AS same_unit,
    (
      ROW_NUMBER() OVER (
        PARTITION BY revision.commodity_code, revision.country_code, revision.market_year, revision.attribute_id
        ORDER BY revision.release
      )
    )::INT AS revision_number,
    FIRST_VALUE(COALESCE(revision.previous_value, revision.current_value)) OVER (
      PARTITION BY revision.commodity_code, revision.country_code, revision.market_year, revision.attribute_id
      ORDER BY revision.release
    ) AS first_value,
    FIRST_VALUE(COALESCE(revision.previous_unit_id, revision.unit_id)) OVER (
      PARTITION BY revision.commodity_code, revision.country_code, revision.market_year, revision.attribute_id
      ORDER BY revision.release
    ) = revision.unit_id AS same_first_unit
  FROM cleaned.cln_psdalldata__revision AS revision
  JOIN raw.psd_archive_in_use AS chosen
    ON LPAD(chosen.commodity_code::TEXT, 7, '0') = revision.commodity_code
    AND chosen.archive = revision.archive
)
SELECT
  release,
  commodity_code,
  country_code,
  market_year,
  attribute_id,
  unit_id,
  kind,
  revision_number,
  (
    12 * market_year + 12 - 12 * YEAR(release) - MONTH(release)
  )::SMALLINT AS horizon_months,
  first_value,
  previous_value,
  current_value,
  (
    CASE WHEN same_unit THEN current_value - previous_value END
  )::DECIMAL(18, 4) AS change,
  CASE
    WHEN same_unit
    THEN 100 * (
      current_value - previous_value
    )::DOUBLE / NULLIF(ABS(previous_value), 0)::DOUBLE
  END AS change_percent,
  (
    CASE WHEN same_first_unit THEN current_value - first_value END
  )::DECIMAL(18, 4) AS change_from_first,
  CASE
    WHEN same_first_unit
    THEN 100 * (
      current_value - first_value
    )::DOUBLE / NULLIF(ABS(first_value), 0)::DOUBLE
  END AS change_from_first_percent
FROM ordered
