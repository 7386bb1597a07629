MODEL (
  name serving.dim_market_year,
  kind VIEW,
  grain (commodity_code, country_code, market_year),
  references (commodity_code, country_code),
  description 'Label and calendar of the market year of each balance. Livestock, meat and dairy have the calendar year. When another marketing year begins is in no file of USDA''s: the days are there where a public document says so, with its name, and null elsewhere.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    label TEXT,
    begins_on DATE,
    ends_on DATE,
    source TEXT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code',
    market_year = 'Marketing year by its first year',
    label = 'As USDA writes it: 2025/26, or 2025 for a calendar year',
    begins_on = 'First day of the market year; null when it is not known',
    ends_on = 'Last day of the market year; null when it is not known',
    source = 'Document that has the first month; null when it is not known'
  ),
  audits (
    NOT_NULL(columns := (commodity_code, country_code, market_year, label))
  )
);

WITH calendar AS (
  SELECT
    LPAD(commodity_code, 7, '0') AS commodity_code,
    country_code,
    first_month,
    source
  FROM raw.marketing_year
), of_all AS (
  SELECT
    commodity_code,
    first_month,
    source
  FROM calendar
  WHERE
    country_code = '*'
)
SELECT
  balance.commodity_code,
  balance.country_code,
  balance.market_year,
  CASE
    WHEN commodity.is_calendar_year
    THEN balance.market_year::TEXT
    ELSE CONCAT(
      balance.market_year::TEXT,
      '/',
      LPAD((
        (
          balance.market_year + 1
        ) % 100
      )::TEXT, 2, '0')
    )
  END AS label,
  CASE
    WHEN commodity.is_calendar_year
    THEN MAKE_DATE(balance.market_year, 1, 1)
    WHEN NOT COALESCE(calendar.first_month, of_all.first_month) IS NULL
    THEN MAKE_DATE(balance.market_year, COALESCE(calendar.first_month, of_all.first_month), 1)
  END AS begins_on,
  CASE
    WHEN commodity.is_calendar_year
    THEN MAKE_DATE(balance.market_year, 12, 31)
    WHEN NOT COALESCE(calendar.first_month, of_all.first_month) IS NULL
    THEN (
      MAKE_DATE(balance.market_year + 1, COALESCE(calendar.first_month, of_all.first_month), 1) - INTERVAL '1' DAY
    )::DATE
  END AS ends_on,
  CASE
    WHEN commodity.is_calendar_year
    THEN 'PSD Online: livestock, meat and dairy are by calendar year'
    ELSE COALESCE(calendar.source, of_all.source)
  END AS source
FROM serving.fct_balance AS balance
JOIN serving.dim_commodity AS commodity
  USING (commodity_code)
LEFT JOIN calendar
  ON calendar.commodity_code = balance.commodity_code
  AND calendar.country_code = balance.country_code
LEFT JOIN of_all
  ON of_all.commodity_code = balance.commodity_code
