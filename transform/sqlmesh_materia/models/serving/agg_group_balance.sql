MODEL (
  name serving.agg_group_balance,
  kind VIEW,
  grain (group_name, commodity_code, market_year),
  references commodity_code,
  description 'Balances of groups of countries, as WASDE''s world tables have them: World, Total foreign (without the United States), World less China, major exporters, regions, and the European Union at its sizes. A group is the sum of its rows. The world is that of agg_world_balance, with USDA''s world use, and the world less a country is that less the row of the country. Quantities are in the unit of the commodity.',
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
  CASE WHEN part.country_code = 'CH' THEN 'World less China' ELSE 'Total foreign' END AS group_name,
  world.commodity_code,
  world.market_year,
  world.area_harvested - part.area_harvested AS area_harvested,
  world.beginning_stocks - part.beginning_stocks AS beginning_stocks,
  world.production - part.production AS production,
  world.imports - part.imports AS imports,
  world.crush - part.crush AS crush,
  world.feed_use - part.feed_use AS feed_use,
  world.world_use - part.domestic_use AS domestic_use,
  world.exports - part.exports AS exports,
  world.ending_stocks - part.ending_stocks AS ending_stocks,
  world.country_count - 1 AS country_count
FROM serving.agg_world_balance AS world
JOIN serving.fct_balance AS part
  ON part.commodity_code = world.commodity_code
  AND part.market_year = world.market_year
  AND part.country_code IN ('CH', 'US')
