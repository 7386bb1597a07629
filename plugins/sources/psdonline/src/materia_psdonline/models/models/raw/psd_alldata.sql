MODEL (
  name raw.psd_alldata,
  kind VIEW,
  grain (commodity_code, country_code, market_year, attribute_id),
  description 'The newest release, row for row, in the columns and the text codes of USDA''s own CSV. For an older release use the macro: FROM as_of(DATE ''2024-05-01'').',
  columns (
    commodity_code TEXT,
    commodity_description TEXT,
    country_code TEXT,
    country_name TEXT,
    market_year SMALLINT,
    calendar_year SMALLINT,
    month TEXT,
    attribute_id TEXT,
    attribute_description TEXT,
    unit_id TEXT,
    unit_description TEXT,
    value DECIMAL(18, 4),
    archive TEXT,
    first_release DATE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    commodity_description = 'USDA name of the commodity',
    country_code = 'USDA country code, FIPS-like and not ISO: CH is China, NA is Netherlands Antilles',
    country_name = 'USDA name, cut at 30 characters',
    market_year = 'Marketing year by its first year as this release labels it: 2025 is 2025/26',
    calendar_year = 'Year of the release in which the balance was last edited; not the period of the value',
    month = 'Month of that release; 00 for rows older than release tracking',
    attribute_id = 'Three digits; the names of attributes are not unique, the ids are',
    attribute_description = 'USDA name of the attribute',
    unit_id = 'Two digits',
    unit_description = 'USDA name of the unit',
    value = 'As published, in that unit; a zero is a value',
    archive = 'Archive the row is read from',
    first_release = 'Release since which the row is unchanged'
  ),
  audits (
    NOT_NULL_NON_BLOCKING(
      columns := (commodity_description, country_name, attribute_description, unit_description)
    )
  )
);

SELECT
  LPAD(row.commodity_code::TEXT, 7, '0') AS commodity_code,
  commodity.label AS commodity_description,
  row.country_code,
  country.label AS country_name,
  row.market_year,
  row.calendar_year,
  LPAD(row.month::TEXT, 2, '0') AS month,
  LPAD(row.attribute_id::TEXT, 3, '0') AS attribute_id,
  attribute.label AS attribute_description,
  LPAD(row.unit_id::TEXT, 2, '0') AS unit_id,
  unit.label AS unit_description,
  row.value,
  row.archive::TEXT AS archive,
  row.first_release
FROM raw.psd_current AS row
JOIN raw.psd_archive_in_use AS chosen
  ON chosen.commodity_code = row.commodity_code AND chosen.archive = row.archive
LEFT JOIN raw.psd_label AS commodity
  ON commodity.archive = row.archive
  AND commodity.kind = 'commodity'
  AND TRY_CAST(commodity.code AS INT) = row.commodity_code
LEFT JOIN raw.psd_label AS country
  ON country.archive = row.archive
  AND country.kind = 'country'
  AND country.code = row.country_code
LEFT JOIN raw.psd_label AS attribute
  ON attribute.archive = row.archive
  AND attribute.kind = 'attribute'
  AND TRY_CAST(attribute.code AS SMALLINT) = row.attribute_id
LEFT JOIN raw.psd_label AS unit
  ON unit.archive = row.archive
  AND unit.kind = 'unit'
  AND TRY_CAST(unit.code AS TINYINT) = row.unit_id
