MODEL (
  name serving.dim_country,
  kind FULL,
  grain country_code,
  description 'Countries and unions: of the newest release, those that USDA has dropped, and the members of the European Union that have rows only in raw.psd_area_breakdown. Codes are USDA''s (FIPS-like), not ISO: CH is China, SZ Switzerland, NA Netherlands Antilles.',
  columns (
    country_code TEXT,
    country TEXT,
    is_european_union BOOLEAN,
    first_market_year SMALLINT,
    last_market_year SMALLINT,
    commodity_count INT,
    balance_count INT,
    iso_code TEXT,
    region TEXT
  ),
  column_descriptions (
    country_code = 'USDA country code',
    country = 'USDA name, cut at 30 characters',
    is_european_union = 'Whether it is the European Union in one of its sizes (EU-15 to 1998, European Union from 1999): a sum of members, whose own rows stop where it begins',
    first_market_year = 'First market year with a balance; null for a code that has none in the newest release',
    last_market_year = 'Last market year with a balance; early for a dissolved state (USSR 1986)',
    commodity_count = 'Number of commodities with balances; 0 where there are none',
    balance_count = 'Number of its balances, by commodity and market year',
    iso_code = 'Three letters, ISO 3166-1 or GENC; null for a union, a dissolved state or a group',
    region = 'USDA region, one of 14, as its API listed them on 2026-10-23; null where it has none. The United Kingdom is in Other Europe'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      country_code
    )),
    NOT_NULL(columns := (country_code, country)),
    NUMBER_OF_ROWS(threshold := 0),
    ACCEPTED_RANGE("column" := balance_count, min_v := 0)
  )
);

WITH balance AS (
  SELECT
    country_code,
    MIN(market_year) AS first_market_year,
    MAX(market_year) AS last_market_year,
    COUNT(DISTINCT commodity_code)::INT AS commodity_count,
    COUNT(*)::INT AS balance_count
  FROM cleaned.cln_psdalldata__commodity_pivoted
  GROUP BY
    country_code
), code AS (
  SELECT
    country_code
  FROM balance
  UNION
  SELECT
    country_code
  FROM staging.stg_psdalldata__country
)
SELECT
  code.country_code,
  COALESCE(country.country, code.country_code) AS country,
  code.country_code IN ('E2', 'E3', 'E4') AS is_european_union,
  balance.first_market_year,
  balance.last_market_year,
  COALESCE(balance.commodity_count, 0) AS commodity_count,
  COALESCE(balance.balance_count, 0) AS balance_count,
  NULLIF(known.iso_code, '') AS iso_code,
  NULLIF(known.region, '') AS region
FROM code
LEFT JOIN balance
  ON balance.country_code = code.country_code
LEFT JOIN staging.stg_psdalldata__country AS country
  ON country.country_code = code.country_code
LEFT JOIN raw.country_code AS known
  ON known.country_code = code.country_code
ORDER BY
  code.country_code
