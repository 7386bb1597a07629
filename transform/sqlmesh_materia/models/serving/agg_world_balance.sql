MODEL (
  name serving.agg_world_balance,
  kind FULL,
  grain (commodity_code, market_year),
  references commodity_code,
  description 'World totals: the plain sum of all countries, as USDA''s own WASDE adds them. The exception is use: the sum of domestic consumption is not the world''s use, since exports and imports do not meet within a marketing year; world use is beginning stocks + production - ending stocks. The soybean codes on a local year are left out. Quantities are in the unit of the commodity (see dim_commodity).',
  columns (
    commodity_code TEXT,
    market_year SMALLINT,
    area_harvested DECIMAL(38, 4),
    beginning_stocks DECIMAL(38, 4),
    production DECIMAL(38, 4),
    imports DECIMAL(38, 4),
    exports DECIMAL(38, 4),
    domestic_use DECIMAL(38, 4),
    world_use DECIMAL(38, 4),
    ending_stocks DECIMAL(38, 4),
    stocks_to_use_percent DOUBLE,
    country_count INT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    market_year = 'Marketing year by its first year: 2025 is 2025/26; each country''s own year, not one period',
    area_harvested = '1000 ha',
    beginning_stocks = 'Sum over countries',
    production = 'Sum over countries',
    imports = 'Sum over countries',
    exports = 'Sum over countries; differs from imports',
    domestic_use = 'Sum of the countries'' domestic use; not WASDE''s world use',
    world_use = 'Beginning stocks + production - ending stocks: WASDE''s world use',
    ending_stocks = 'Sum over countries',
    stocks_to_use_percent = 'Ending stocks in percent of world use; no exports, since they stay in the world',
    country_count = 'Countries with a balance'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, market_year)),
    NOT_NULL(columns := (commodity_code, market_year)),
    NUMBER_OF_ROWS(threshold := 0),
    world_use_is_not_negative
  )
);

WITH world AS (
  SELECT
    commodity_code,
    market_year,
    SUM(area_harvested) AS area_harvested,
    SUM(beginning_stocks) AS beginning_stocks,
    SUM(production) AS production,
    SUM(imports) AS imports,
    SUM(exports) AS exports,
    SUM(domestic_use) AS domestic_use,
    SUM(production) + COALESCE(SUM(beginning_stocks), 0) - COALESCE(SUM(ending_stocks), 0) AS world_use,
    SUM(ending_stocks) AS ending_stocks,
    COUNT(*)::INT AS country_count
  FROM serving.fct_balance
  WHERE
    NOT commodity_code IN ('2222001', '0813101', '4232001')
  GROUP BY
    commodity_code,
    market_year
)
SELECT
  commodity_code,
  market_year,
  area_harvested,
  beginning_stocks,
  production,
  imports,
  exports,
  domestic_use,
  world_use,
  ending_stocks,
  100 * ending_stocks::DOUBLE / NULLIF(world_use, 0)::DOUBLE AS stocks_to_use_percent,
  country_count
FROM world
ORDER BY
  commodity_code,
  market_year
