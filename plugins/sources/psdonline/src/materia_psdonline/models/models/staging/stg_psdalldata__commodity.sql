MODEL (
  name staging.stg_psdalldata__commodity,
  kind VIEW,
  grain (commodity_code, country_code, market_year, attribute_id),
  description 'The newest release, typed: one row per commodity, country, market year and attribute. Market years follow today''s labelling whichever release is newest, and the edit stamp is a date. Names are in the other staging tables, one row per code.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id SMALLINT,
    unit_id TINYINT,
    last_edited DATE,
    value DECIMAL(18, 4),
    archive TEXT,
    first_release DATE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code, not ISO; NA is Netherlands Antilles',
    market_year = 'Marketing year by its first year, in today''s labelling: 2025 is 2025/26',
    attribute_id = 'USDA attribute id; the names are not unique',
    unit_id = 'USDA unit id',
    last_edited = 'Last day of the month of the release that last touched the balance, changed or not; null for rows older than release tracking (month 00)',
    value = 'As published, in that unit; a zero is a value',
    archive = 'Archive the row is read from',
    first_release = 'Release since which the row is unchanged under the label that USDA gives its market year'
  ),
  audits (
    NOT_NULL(
      columns := (commodity_code, country_code, market_year, attribute_id, unit_id, first_release)
    ),
    ACCEPTED_RANGE("column" := market_year, min_v := 1900, max_v := 2100),
    NUMBER_OF_ROWS(threshold := 0)
  )
);

SELECT
  LPAD(row.commodity_code::TEXT, 7, '0') AS commodity_code,
  row.country_code,
  (
    row.market_year + chosen.market_year_shift
  )::SMALLINT AS market_year,
  row.attribute_id,
  row.unit_id,
  CASE
    WHEN row.month BETWEEN 1 AND 12
    THEN LAST_DAY(MAKE_DATE(row.calendar_year, row.month, 1))
  END AS last_edited,
  row.value,
  row.archive::TEXT AS archive,
  row.first_release
FROM raw.psd_current AS row
JOIN raw.psd_archive_in_use AS chosen
  ON chosen.commodity_code = row.commodity_code AND chosen.archive = row.archive
