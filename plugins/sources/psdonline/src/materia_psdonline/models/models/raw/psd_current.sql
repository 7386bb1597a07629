MODEL (
  name raw.psd_current,
  kind VIEW,
  grain (archive, commodity_code, country_code, market_year, attribute_id),
  description 'Rows of the newest release of each archive, codes as numbers: the figures with the stamps of their balances.',
  columns (
    archive TEXT,
    commodity_code INT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id SMALLINT,
    unit_id TINYINT,
    calendar_year SMALLINT,
    month TINYINT,
    value DECIMAL(18, 4),
    first_release DATE
  ),
  column_descriptions (
    archive = 'Archive the row is read from',
    commodity_code = 'USDA commodity code as a number',
    country_code = 'USDA country code',
    market_year = 'Marketing year by its first year as this release labels it',
    attribute_id = 'USDA attribute id',
    unit_id = 'USDA unit id',
    calendar_year = 'Year of the release in which the balance was last edited; not the period of the value',
    month = 'Month of that release; 0 for rows older than release tracking',
    value = 'As published, in that unit; a zero is a value',
    first_release = 'Release since which the figure has stood unchanged'
  )
);

/* The archive stays what the loader made it, in DuckDB an enumeration: two million texts would be compared where
numbers do. */
SELECT
  figure.archive,
  figure.commodity_code,
  figure.country_code::TEXT AS country_code,
  figure.market_year,
  figure.attribute_id,
  figure.unit_id,
  COALESCE(figure.own_calendar_year, stamp.calendar_year) AS calendar_year,
  COALESCE(figure.own_month, stamp.month) AS month,
  figure.value,
  figure.first_release
FROM raw.psd_value AS figure
JOIN raw.psd_stamp AS stamp
  ON stamp.archive = figure.archive
  AND stamp.commodity_code = figure.commodity_code
  AND stamp.country_code = figure.country_code
  AND stamp.market_year = figure.market_year
