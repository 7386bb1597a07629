MODEL (
  name serving.fct_balance,
  kind VIEW,
  grain (commodity_code, country_code, market_year),
  references (commodity_code, country_code),
  depends_on (
    cleaned.cln_psdalldata__area_break
  ),
  description 'Supply and use of a commodity in a country and market year, the same columns for every commodity: beginning stocks + production + imports = total supply = total distribution = exports + domestic use + other use + ending stocks. Quantities are in the unit of the commodity (see dim_commodity). Trade-year attributes are not part of the balance and are in the cleaned table.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
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
    total_distribution DECIMAL(18, 4),
    yield DECIMAL(18, 4),
    yield_production DECIMAL(18, 4),
    quantity_unit_id TINYINT,
    market_year_end DATE,
    last_edited DATE,
    first_release DATE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code, not ISO',
    market_year = 'Marketing year by its first year: 2025 is 2025/26',
    area_harvested = '1000 ha',
    beginning_stocks = 'Attribute 020; the ending stocks of the year before',
    production = 'Attribute 028',
    imports = 'Attribute 057, of the marketing year',
    total_supply = 'Attribute 086, as published',
    exports = 'Attribute 088, of the marketing year',
    domestic_use = 'Attribute 125, or 126 sugar, 142 cotton, 117 cattle and swine, 135 citrus and grapes',
    crush = 'Attribute 007, for oilseeds a part of the domestic use; for meals and oils the seed they are made from. Null where USDA does not keep it, like the four columns below',
    feed_use = 'Attribute 130, or 161 oilseeds, meals and oils (with waste), 158 fluid milk; a part of the domestic use',
    food_use = 'Attribute 149, or 139 sugar; a part of the domestic use',
    industrial_use = 'Attribute 140; a part of the domestic use',
    food_seed_industrial_use = 'Attribute 192, FSI, of grains but rice: domestic use less feed',
    other_use = 'Other uses that leave the balance: attributes 132 for processing, 150 loss, 169 withdrawal, 172 loss and residual; 0 where there are none',
    ending_stocks = 'Attribute 176; null for commodities without stocks',
    total_distribution = 'Attribute 178, as published',
    yield = 'Attribute 184, as published: t/ha, cotton kg/ha',
    yield_production = 'Production that the yield is computed from: production, but rough (054) and not milled production for rice',
    quantity_unit_id = 'Unit of the quantities, see stg_psdalldata__unit',
    market_year_end = 'Last day of the market year where it is the calendar year (livestock, meat, dairy); null elsewhere, since the start differs by country and is not in the files',
    last_edited = 'Last day of the month of the release that last touched the balance; not the period of the figures',
    first_release = 'Release since which the balance is unchanged'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, country_code, market_year)),
    NOT_NULL(columns := (commodity_code, country_code, market_year)),
    NOT_NULL_NON_BLOCKING(columns := (domestic_use, total_supply)),
    ACCEPTED_RANGE("column" := ending_stocks, min_v := 0, blocking := FALSE),
    supply_equals_distribution,
    stocks_are_carried_over
  )
);

SELECT
  balance.commodity_code,
  balance.country_code,
  balance.market_year,
  balance.area_harvested,
  balance.beginning_stocks,
  balance.production,
  balance.imports,
  balance.total_supply,
  balance.exports,
  COALESCE(
    balance.domestic_consumption,
    balance.total_disappearance_126,
    balance.total_disappearance_173,
    balance.domestic_use,
    balance.total_slaughter,
    balance.fresh_consumption_135,
    balance.fresh_consumption_133
  ) AS domestic_use,
  balance.crush,
  COALESCE(
    balance.feed_consumption,
    balance.feed_and_waste_consumption,
    balance.feed_use_consumption
  ) AS feed_use,
  COALESCE(balance.food_consumption, balance.human_consumption) AS food_use,
  balance.industrial_consumption AS industrial_use,
  balance.food_seed_and_industrial_consumption AS food_seed_industrial_use,
  (
    COALESCE(balance.for_processing, 0) + COALESCE(balance.loss, 0) + COALESCE(balance.withdrawal_from_market, 0) + COALESCE(balance.loss_and_residual, 0)
  )::DECIMAL(18, 4) AS other_use,
  balance.ending_stocks,
  balance.total_distribution,
  balance.yield,
  COALESCE(balance.rough_production, balance.production) AS yield_production,
  balance.quantity_unit_id,
  CASE
    WHEN LEFT(balance.commodity_code, 3) IN ('001', '011', '022', '023', '024')
    THEN LAST_DAY(MAKE_DATE(balance.market_year, 12, 1))
  END AS market_year_end,
  balance.last_edited,
  balance.first_release
FROM cleaned.cln_psdalldata__commodity_pivoted AS balance
