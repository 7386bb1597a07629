MODEL (
  name raw.psd_area_breakdown,
  kind VIEW,
  grain (archive, commodity_code, country_code, market_year, attribute_id),
  description 'Area and production of EU members and of Russian crops, from the two archives psd_eu_area_prod and psd_russiabreakdown_area_prod, newest release. Kept apart: the rows of the European Union and of Russia in raw.psd_alldata already contain them. Empty unless those archives are configured.',
  columns (
    archive TEXT,
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id TEXT,
    unit_id TEXT,
    calendar_year SMALLINT,
    month TEXT,
    value DECIMAL(18, 4),
    first_release DATE
  ),
  column_descriptions (
    archive = 'Archive the row is read from',
    commodity_code = 'Seven digits, zero-padded; 0412000 and 0413000 (spring and winter wheat) occur only here',
    country_code = 'USDA country code',
    market_year = 'Marketing year by its first year',
    attribute_id = 'Three digits: 004 area harvested, 028 production, 184 yield',
    unit_id = 'Two digits',
    calendar_year = 'Year of the release in which the row was last edited',
    month = 'Month of that release',
    value = 'As published, in that unit',
    first_release = 'Release since which the row has stood unchanged'
  ),
  audits (
    NOT_NULL(columns := (commodity_code, country_code, market_year, attribute_id))
  )
);

SELECT
  archive,
  LPAD(commodity_code::TEXT, 7, '0') AS commodity_code,
  country_code,
  market_year,
  LPAD(attribute_id::TEXT, 3, '0') AS attribute_id,
  LPAD(unit_id::TEXT, 2, '0') AS unit_id,
  calendar_year,
  LPAD(month::TEXT, 2, '0') AS month,
  value,
  first_release
FROM raw.psd_current
WHERE
  archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod')
