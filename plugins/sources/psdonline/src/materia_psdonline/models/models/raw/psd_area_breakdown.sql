MODEL (
  name raw.psd_area_breakdown,
  kind VIEW,
  grain (archive, commodity_code, country_code, market_year, attribute_id),
  description 'Area and production of EU members and of Russian crops, from the two archives psd_eu_area_prod and psd_russiabreakdown_area_prod, newest release. Kept apart: the rows of the European Union and of Russia in raw.psd_alldata already contain them. Empty unless those archives are configured.',
  columns (
    archive TEXT,
    commodity_code TEXT,
    commodity_description TEXT,
    country_code TEXT,
    country_name TEXT,
    market_year SMALLINT,
    attribute_id TEXT,
    attribute_description TEXT,
    unit_id TEXT,
    unit_description TEXT,
    calendar_year SMALLINT,
    month TEXT,
    value DECIMAL(18, 4),
    first_release DATE
  ),
  column_descriptions (
    archive = 'Archive the row is read from',
    commodity_code = 'Seven digits, zero-padded; 0412000 and 0413000 (spring and winter wheat) occur only here',
    commodity_description = 'USDA name of the commodity',
    country_code = 'USDA country code',
    country_name = 'USDA name',
    market_year = 'Marketing year by its first year',
    attribute_id = 'Three digits: 004 area harvested, 028 production, 184 yield',
    attribute_description = 'USDA name of the attribute',
    unit_id = 'Two digits',
    unit_description = 'USDA name of the unit',
    calendar_year = 'Year of the release in which the row was last edited',
    month = 'Month of that release',
    value = 'As published, in that unit',
    first_release = 'Release since which the row is unchanged'
  ),
  audits (
    NOT_NULL(columns := (commodity_code, country_code, market_year, attribute_id)),
    NOT_NULL_NON_BLOCKING(
      columns := (commodity_description, country_name, attribute_description, unit_description)
    )
  )
);

SELECT
  row.archive::TEXT AS archive,
  LPAD(row.commodity_code::TEXT, 7, '0') AS commodity_code,
  commodity.label AS commodity_description,
  row.country_code,
  country.label AS country_name,
  row.market_year,
  LPAD(row.attribute_id::TEXT, 3, '0') AS attribute_id,
  attribute.label AS attribute_description,
  LPAD(row.unit_id::TEXT, 2, '0') AS unit_id,
  unit.label AS unit_description,
  row.calendar_year,
  LPAD(row.month::TEXT, 2, '0') AS month,
  row.value,
  row.first_release
FROM raw.psd_current AS row
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
WHERE
  row.archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod')
