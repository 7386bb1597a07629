MODEL (
  name serving.obt_commodity_metrics,
  kind VIEW,
  grain (commodity_code, country_code, market_year),
  description 'One wide table for charts and spreadsheets: every balance with names, tonnes, stocks-to-use, yield, world shares and the change from the year before. Percentages are percent, not fractions.',
  columns (
    commodity_code TEXT,
    commodity TEXT,
    commodity_group TEXT,
    country_code TEXT,
    country TEXT,
    market_year SMALLINT,
    quantity_unit TEXT,
    area_harvested DECIMAL(18, 4),
    beginning_stocks DECIMAL(18, 4),
    production DECIMAL(18, 4),
    imports DECIMAL(18, 4),
    total_supply DECIMAL(18, 4),
    exports DECIMAL(18, 4),
    domestic_use DECIMAL(18, 4),
    crush DECIMAL(18, 4),
    feed_use DECIMAL(18, 4),
    food_use DECIMAL(18, 4),
    industrial_use DECIMAL(18, 4),
    food_seed_industrial_use DECIMAL(18, 4),
    other_use DECIMAL(18, 4),
    ending_stocks DECIMAL(18, 4),
    yield DECIMAL(18, 4),
    world_use DECIMAL(38, 4),
    production_tonnes DOUBLE,
    imports_tonnes DOUBLE,
    exports_tonnes DOUBLE,
    domestic_use_tonnes DOUBLE,
    ending_stocks_tonnes DOUBLE,
    yield_tonnes_per_ha DOUBLE,
    stocks_to_use_percent DOUBLE,
    self_sufficiency_percent DOUBLE,
    world_share_of_production_percent DOUBLE,
    world_share_of_imports_percent DOUBLE,
    world_share_of_exports_percent DOUBLE,
    world_share_of_domestic_use_percent DOUBLE,
    world_share_of_ending_stocks_percent DOUBLE,
    area_harvested_change DECIMAL(18, 4),
    production_change DECIMAL(18, 4),
    imports_change DECIMAL(18, 4),
    exports_change DECIMAL(18, 4),
    domestic_use_change DECIMAL(18, 4),
    ending_stocks_change DECIMAL(18, 4),
    area_harvested_change_percent DOUBLE,
    production_change_percent DOUBLE,
    imports_change_percent DOUBLE,
    exports_change_percent DOUBLE,
    domestic_use_change_percent DOUBLE,
    ending_stocks_change_percent DOUBLE,
    last_edited DATE,
    first_release DATE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    commodity = 'USDA name',
    commodity_group = 'Group of the commodity, by code',
    country_code = 'USDA country code, not ISO',
    country = 'USDA name',
    market_year = 'Marketing year by its first year: 2025 is 2025/26',
    quantity_unit = 'Unit of the quantities without a unit in their name',
    area_harvested = '1000 ha',
    beginning_stocks = 'As published',
    production = 'As published',
    imports = 'As published, marketing year',
    total_supply = 'As published',
    exports = 'As published, marketing year',
    domestic_use = 'See fct_balance',
    crush = 'See fct_balance',
    feed_use = 'See fct_balance',
    food_use = 'See fct_balance',
    industrial_use = 'See fct_balance',
    food_seed_industrial_use = 'See fct_balance',
    other_use = 'See fct_balance',
    ending_stocks = 'As published; null for commodities without stocks',
    yield = 'As published: t/ha, cotton kg/ha; rice in rough, not milled, rice',
    world_use = 'USDA''s world use of the commodity and year, see agg_world_balance; null for the codes on a local year',
    production_tonnes = 'Production in tonnes; null where the unit is not a weight (head)',
    imports_tonnes = 'Imports in tonnes; null where the unit is not a weight (head)',
    exports_tonnes = 'Exports in tonnes; null where the unit is not a weight (head)',
    domestic_use_tonnes = 'Domestic use in tonnes; null where the unit is not a weight (head)',
    ending_stocks_tonnes = 'Ending stocks in tonnes; null where the unit is not a weight (head)',
    yield_tonnes_per_ha = 'Computed: production (rice: rough production) over area harvested, in t/ha; null where no area is kept or it is 0',
    stocks_to_use_percent = 'Ending stocks in percent of domestic use + exports. For the world see agg_world_balance, where exports do not count',
    self_sufficiency_percent = 'Production in percent of domestic use',
    world_share_of_production_percent = 'In percent of the world''s production of that commodity and year; null for the codes on a local year',
    world_share_of_imports_percent = 'In percent of the world''s imports of that commodity and year; null for the codes on a local year',
    world_share_of_exports_percent = 'In percent of the world''s exports of that commodity and year; null for the codes on a local year',
    world_share_of_domestic_use_percent = 'In percent of the world''s domestic use of that commodity and year; null for the codes on a local year',
    world_share_of_ending_stocks_percent = 'In percent of the world''s ending stocks of that commodity and year; null for the codes on a local year',
    area_harvested_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    production_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    imports_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    exports_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    domestic_use_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    ending_stocks_change = 'Change from the market year before; null when there is none, and when the row covered another area then (the European Union in 2016)',
    area_harvested_change_percent = 'Change in percent of the year before; null when that was 0',
    production_change_percent = 'Change in percent of the year before; null when that was 0',
    imports_change_percent = 'Change in percent of the year before; null when that was 0',
    exports_change_percent = 'Change in percent of the year before; null when that was 0',
    domestic_use_change_percent = 'Change in percent of the year before; null when that was 0',
    ending_stocks_change_percent = 'Change in percent of the year before; null when that was 0',
    last_edited = 'Last day of the month of the release that last touched the balance; not the period of the figures',
    first_release = 'Release since which the balance is unchanged'
  ),
  audits (one_row_per_balance, metrics_are_plausible, yield_agrees_with_area)
);

/* The year before is joined by a value: were "broken is null" a condition of its own in that join, DuckDB would
compare each balance with each other one. */
SELECT
  balance.commodity_code,
  commodity.commodity,
  commodity.commodity_group,
  balance.country_code,
  country.country,
  balance.market_year,
  commodity.quantity_unit,
  balance.area_harvested,
  balance.beginning_stocks,
  balance.production,
  balance.imports,
  balance.total_supply,
  balance.exports,
  balance.domestic_use,
  balance.crush,
  balance.feed_use,
  balance.food_use,
  balance.industrial_use,
  balance.food_seed_industrial_use,
  balance.other_use,
  balance.ending_stocks,
  balance.yield,
  world.world_use,
  balance.production::DOUBLE * commodity.tonnes_per_unit::DOUBLE AS production_tonnes,
  balance.imports::DOUBLE * commodity.tonnes_per_unit::DOUBLE AS imports_tonnes,
  balance.exports::DOUBLE * commodity.tonnes_per_unit::DOUBLE AS exports_tonnes,
  balance.domestic_use::DOUBLE * commodity.tonnes_per_unit::DOUBLE AS domestic_use_tonnes,
  balance.ending_stocks::DOUBLE * commodity.tonnes_per_unit::DOUBLE AS ending_stocks_tonnes,
  CASE
    WHEN NOT commodity.tonnes_per_unit IS NULL AND balance.area_harvested > 0
    THEN balance.yield_production::DOUBLE * commodity.tonnes_per_unit::DOUBLE / (
      1000 * balance.area_harvested::DOUBLE
    )
  END AS yield_tonnes_per_ha,
  100 * balance.ending_stocks::DOUBLE / NULLIF(balance.domestic_use + balance.exports, 0)::DOUBLE AS stocks_to_use_percent,
  100 * balance.production::DOUBLE / NULLIF(balance.domestic_use, 0)::DOUBLE AS self_sufficiency_percent,
  100 * balance.production::DOUBLE / NULLIF(world.production, 0)::DOUBLE AS world_share_of_production_percent,
  100 * balance.imports::DOUBLE / NULLIF(world.imports, 0)::DOUBLE AS world_share_of_imports_percent,
  100 * balance.exports::DOUBLE / NULLIF(world.exports, 0)::DOUBLE AS world_share_of_exports_percent,
  100 * balance.domestic_use::DOUBLE / NULLIF(world.domestic_use, 0)::DOUBLE AS world_share_of_domestic_use_percent,
  100 * balance.ending_stocks::DOUBLE / NULLIF(world.ending_stocks, 0)::DOUBLE AS world_share_of_ending_stocks_percent,
  (
    balance.area_harvested - last_year.area_harvested
  )::DECIMAL(18, 4) AS area_harvested_change,
  (
    balance.production - last_year.production
  )::DECIMAL(18, 4) AS production_change,
  (
    balance.imports - last_year.imports
  )::DECIMAL(18, 4) AS imports_change,
  (
    balance.exports - last_year.exports
  )::DECIMAL(18, 4) AS exports_change,
  (
    balance.domestic_use - last_year.domestic_use
  )::DECIMAL(18, 4) AS domestic_use_change,
  (
    balance.ending_stocks - last_year.ending_stocks
  )::DECIMAL(18, 4) AS ending_stocks_change,
  100 * (
    balance.area_harvested - last_year.area_harvested
  )::DOUBLE / NULLIF(last_year.area_harvested, 0)::DOUBLE AS area_harvested_change_percent,
  100 * (
    balance.production - last_year.production
  )::DOUBLE / NULLIF(last_year.production, 0)::DOUBLE AS production_change_percent,
  100 * (
    balance.imports - last_year.imports
  )::DOUBLE / NULLIF(last_year.imports, 0)::DOUBLE AS imports_change_percent,
  100 * (
    balance.exports - last_year.exports
  )::DOUBLE / NULLIF(last_year.exports, 0)::DOUBLE AS exports_change_percent,
  100 * (
    balance.domestic_use - last_year.domestic_use
  )::DOUBLE / NULLIF(last_year.domestic_use, 0)::DOUBLE AS domestic_use_change_percent,
  100 * (
    balance.ending_stocks - last_year.ending_stocks
  )::DOUBLE / NULLIF(last_year.ending_stocks, 0)::DOUBLE AS ending_stocks_change_percent,
  balance.last_edited,
  balance.first_release
FROM serving.fct_balance AS balance
JOIN serving.dim_commodity AS commodity
  USING (commodity_code)
JOIN serving.dim_country AS country
  USING (country_code)
LEFT JOIN serving.agg_world_balance AS world
  ON world.commodity_code = balance.commodity_code
  AND world.market_year = balance.market_year
LEFT JOIN cleaned.cln_psdalldata__area_break AS broken
  ON broken.commodity_code = balance.commodity_code
  AND broken.country_code = balance.country_code
  AND broken.market_year = balance.market_year
LEFT JOIN serving.fct_balance AS last_year
  ON last_year.commodity_code = balance.commodity_code
  AND last_year.country_code = balance.country_code
  AND last_year.market_year = CASE WHEN broken.market_year IS NULL THEN balance.market_year - 1 END
