MODEL (
  name serving.dim_country,
  kind FULL,
  grain country_code,
  description 'Countries and unions of the newest release. Codes are USDA''s (FIPS-like), not ISO: CH is China, SZ Switzerland, NA Netherlands Antilles.',
  columns (
    country_code TEXT,
    country TEXT,
    is_european_union BOOLEAN,
    first_market_year SMALLINT,
    last_market_year SMALLINT,
    commodity_count INT,
    balance_count INT
  ),
  column_descriptions (
    country_code = 'USDA country code',
    country = 'USDA name, cut at 30 characters',
    is_european_union = 'Whether it is the European Union at some size (EU-15 to 1998, European Union from 1999): a sum of members, whose own rows stop where it begins',
    first_market_year = 'First market year with a balance',
    last_market_year = 'Last one; long before the others for a state that is no more (USSR 1986)',
    commodity_count = 'Commodities it has balances for',
    balance_count = 'Its balances: commodity and market year'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      country_code
    )),
    NOT_NULL(columns := (country_code, country)),
    NUMBER_OF_ROWS(threshold := 0),
    ACCEPTED_RANGE("column" := balance_count, min_v := 1)
  )
);

SELECT
  balance.country_code,
  ANY_VALUE(COALESCE(country.country, balance.country_code)) AS country,
  balance.country_code IN ('E2', 'E3', 'E4') AS is_european_union,
  MIN(balance.market_year) AS first_market_year,
  MAX(balance.market_year) AS last_market_year,
  COUNT(DISTINCT balance.commodity_code)::INT AS commodity_count,
  COUNT(*)::INT AS balance_count
FROM cleaned.cln_psdalldata__commodity_pivoted AS balance
LEFT JOIN staging.stg_psdalldata__country AS country
  USING (country_code)
GROUP BY
  balance.country_code
ORDER BY
  balance.country_code
