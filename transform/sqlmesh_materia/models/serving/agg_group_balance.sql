MODEL (
  name serving.agg_group_balance,
  kind VIEW,
  grain (group_name, commodity_code, market_year),
  references commodity_code,
  description 'Balances of groups of countries, as WASDE''s world tables have them: World, Total foreign (without the United States), World less China, major exporters, regions, and the European Union at its sizes. A group is the sum of its rows. The world is that of agg_world_balance, with USDA''s world use, and the world less a country is that less the row of the country, if it has one. Quantities are in the unit of the commodity.',
  columns (
    group_name TEXT,
    commodity_code TEXT,
    market_year SMALLINT,
    area_harvested DECIMAL(38, 4),
    beginning_stocks DECIMAL(38, 4),
    production DECIMAL(38, 4),
    imports DECIMAL(38, 4),
    crush DECIMAL(38, 4),
    feed_use DECIMAL(38, 4),
    domestic_use DECIMAL(38, 4),
    exports DECIMAL(38, 4),
    ending_stocks DECIMAL(38, 4),
    country_count INT
  ),
  column_descriptions (
    group_name = 'World, Total foreign, World less China, or a group of dim_country_group',
    commodity_code = 'Seven digits, zero-padded',
    market_year = 'Marketing year by its first year: 2025 is 2025/26',
    area_harvested = '1000 ha',
    beginning_stocks = 'Sum over the rows of the group',
    production = 'Sum over the rows of the group',
    imports = 'Sum over the rows of the group, with trade among them',
    crush = 'Sum over the rows of the group, see fct_balance',
    feed_use = 'Sum over the rows of the group, see fct_balance',
    domestic_use = 'Sum over the rows of the group; for the three groups of the world, world_use of agg_world_balance less the domestic use of the country left out',
    exports = 'Sum over the rows of the group, with trade among them',
    ending_stocks = 'Sum over the rows of the group',
    country_count = 'Rows that were added up'
  ),
  audits (
    NOT_NULL(columns := (group_name, commodity_code, market_year))
  )
);

WITH left_out AS (
  SELECT
    'CH' AS country_code,
    'World less China' AS group_name
  UNION ALL
  SELECT
    'US' AS country_code,
    'Total foreign' AS group_name
)
SELECT
  country_group.group_name,
  balance.commodity_code,
  balance.market_year,
  SUM(balance.area_harvested) AS area_harvested,
  SUM(balance.beginning_stocks) AS beginning_stocks,
  SUM(balance.production) AS production,
  SUM(balance.imports) AS imports,
  SUM(balance.crush) AS crush,
  SUM(balance.feed_use) AS feed_use,
  SUM(balance.domestic_use) AS domestic_use,
  SUM(balance.exports) AS exports,
  SUM(balance.ending_stocks) AS ending_stocks,
  COUNT(*)::INT AS country_count
FROM serving.fct_balance AS balance
JOIN serving.dim_country_group AS country_group
  ON country_group.country_code = balance.country_code
  AND (
    country_group.commodity_code = balance.commodity_code
    OR country_group.commodity_code = ''
  )
  AND (
    country_group.first_market_year IS NULL
    OR country_group.first_market_year <= balance.market_year
  )
GROUP BY
  country_group.group_name,
  balance.commodity_code,
  balance.market_year
UNION ALL
SELECT
  'World' AS group_name,
  commodity_code,
  market_year,
  area_harvested,
  beginning_stocks,
  production,
  imports,
  crush,
  feed_use,
  world_use AS domestic_use,
  exports,
  ending_stocks,
  country_count
FROM serving.agg_world_balance
UNION ALL
SELECT
  left_out.group_name,
  world.commodity_code,
  world.market_year,
  world.area_harvested - COALESCE(part.area_harvested, 0) AS area_harvested,
  world.beginning_stocks - COALESCE(part.beginning_stocks, 0) AS beginning_stocks,
  world.production - COALESCE(part.production, 0) AS production,
  world.imports - COALESCE(part.imports, 0) AS imports,
  world.crush - COALESCE(part.crush, 0) AS crush,
  world.feed_use - COALESCE(part.feed_use, 0) AS feed_use,
  world.world_use - COALESCE(part.domestic_use, 0) AS domestic_use,
  world.exports - COALESCE(part.exports, 0) AS exports,
  world.ending_stocks - COALESCE(part.ending_stocks, 0) AS ending_stocks,
  world.country_count - CASE WHEN part.country_code IS NULL THEN 0 ELSE 1 END AS country_count
FROM serving.agg_world_balance AS world
CROSS JOIN left_out
LEFT JOIN serving.fct_balance AS part
  ON part.commodity_code = world.commodity_code
  AND part.market_year = world.market_year
  AND part.country_code = left_out.country_code
