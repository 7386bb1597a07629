MODEL (
  name serving.agg_world_balance,
  kind FULL,
  grain (commodity_code, market_year),
  references commodity_code,
  description 'World totals: the plain sum of all countries, as USDA''s own WASDE adds them. Use is the exception for grains: exports and imports do not match within a marketing year, and WASDE adjusts the world use of wheat, coarse grains, corn and rice for that; for oilseeds, meals, oils, cotton and all others it is the sum of the countries'' domestic use. world_use follows USDA. The soybean codes on a local year are left out. Quantities are in the unit of the commodity (see dim_commodity).',
  columns (
    commodity_code TEXT,
    market_year SMALLINT,
    area_harvested DECIMAL(38, 4),
    yield_tonnes_per_ha DOUBLE,
    beginning_stocks DECIMAL(38, 4),
    production DECIMAL(38, 4),
    yield_production DECIMAL(38, 4),
    imports DECIMAL(38, 4),
    world_supply DECIMAL(38, 4),
    total_supply DECIMAL(38, 4),
    exports DECIMAL(38, 4),
    domestic_use DECIMAL(38, 4),
    crush DECIMAL(38, 4),
    feed_use DECIMAL(38, 4),
    food_use DECIMAL(38, 4),
    industrial_use DECIMAL(38, 4),
    food_seed_industrial_use DECIMAL(38, 4),
    apparent_use DECIMAL(38, 4),
    world_use DECIMAL(38, 4),
    is_use_adjusted BOOLEAN,
    ending_stocks DECIMAL(38, 4),
    stocks_to_use_percent DOUBLE,
    country_count INT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    market_year = 'Marketing year by its first year: 2025 is 2025/26; each country''s own year, not one period',
    area_harvested = '1000 ha',
    yield_tonnes_per_ha = 'Computed: production (rice: rough production) over area harvested, in t/ha; null where no area is kept or it is 0',
    beginning_stocks = 'Sum over countries',
    production = 'Sum over countries',
    yield_production = 'Production that the yield is computed from: production, but rough and not milled production for rice',
    imports = 'Sum over countries',
    world_supply = 'Beginning stocks + production: WASDE''s total supply of the world, without imports',
    total_supply = 'Sum of the countries'' total supply, with imports',
    exports = 'Sum over countries; differs from imports',
    domestic_use = 'Sum of the countries'' domestic use',
    crush = 'Sum over countries, see fct_balance',
    feed_use = 'Sum over countries, see fct_balance',
    food_use = 'Sum over countries, see fct_balance',
    industrial_use = 'Sum over countries, see fct_balance',
    food_seed_industrial_use = 'Sum over countries, see fct_balance',
    apparent_use = 'Beginning stocks + production - ending stocks: what left the world''s stocks',
    world_use = 'USDA''s world use: the apparent use of grains, the domestic use of all others',
    is_use_adjusted = 'Whether world_use is the apparent use: WASDE adjusts the world use of wheat, coarse grains, corn and rice for the differences in world imports and exports, and of no other commodity',
    ending_stocks = 'Sum over countries',
    stocks_to_use_percent = 'Ending stocks in percent of world_use; without exports, which stay in the world',
    country_count = 'Countries with a balance'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, market_year)),
    NOT_NULL(columns := (commodity_code, market_year)),
    NUMBER_OF_ROWS(threshold := 0),
    world_use_is_not_negative
  )
);

/* Which use: the notes under the world tables of WASDE no. 660 (2025-05-12) and no. 665 (2025-11-14). All codes
of grains begin with 04, and all of these are wheat, rice or coarse grains. */
WITH world AS (
  SELECT
    commodity_code,
    market_year,
    SUM(area_harvested) AS area_harvested,
    SUM(beginning_stocks) AS beginning_stocks,
    SUM(production) AS production,
    SUM(yield_production) AS yield_production,
    SUM(imports) AS imports,
    SUM(production) + COALESCE(SUM(beginning_stocks), 0) AS world_supply,
    SUM(total_supply) AS total_supply,
    SUM(exports) AS exports,
    SUM(domestic_use) AS domestic_use,
    SUM(crush) AS crush,
    SUM(feed_use) AS feed_use,
    SUM(food_use) AS food_use,
    SUM(industrial_use) AS industrial_use,
    SUM(food_seed_industrial_use) AS food_seed_industrial_use,
    SUM(production) + COALESCE(SUM(beginning_stocks), 0) - COALESCE(SUM(ending_stocks), 0) AS apparent_use,
    commodity_code LIKE '04%' AS is_use_adjusted,
    SUM(ending_stocks) AS ending_stocks,
    COUNT(*)::INT AS country_count
  FROM serving.fct_balance
  WHERE
    NOT commodity_code IN ('2222001', '0813101', '4232001')
  GROUP BY
    commodity_code,
    market_year
), used AS (
  SELECT
    *,
    CASE WHEN is_use_adjusted THEN apparent_use ELSE domestic_use END AS world_use
  FROM world
)
SELECT
  used.commodity_code,
  used.market_year,
  used.area_harvested,
  used.yield_production::DOUBLE * commodity.tonnes_per_unit::DOUBLE / NULLIF(1000 * used.area_harvested::DOUBLE, 0) AS yield_tonnes_per_ha,
  used.beginning_stocks,
  used.production,
  used.yield_production,
  used.imports,
  used.world_supply,
  used.total_supply,
  used.exports,
  used.domestic_use,
  used.crush,
  used.feed_use,
  used.food_use,
  used.industrial_use,
  used.food_seed_industrial_use,
  used.apparent_use,
  used.world_use,
  used.is_use_adjusted,
  used.ending_stocks,
  100 * used.ending_stocks::DOUBLE / NULLIF(used.world_use, 0)::DOUBLE AS stocks_to_use_percent,
  used.country_count
FROM used
LEFT JOIN serving.dim_commodity AS commodity
  USING (commodity_code)
ORDER BY
  used.commodity_code,
  used.market_year
