AUDIT (
  name supply_equals_distribution,
  blocking FALSE
);

/* A warning, since real balances fail this now and then (10 of 38,159 of grains, PSD Online 2025-11). */
SELECT
  commodity_code,
  country_code,
  market_year,
  beginning_stocks,
  production,
  imports,
  total_supply,
  exports,
  domestic_use,
  other_use,
  ending_stocks,
  total_distribution
FROM @this_model
WHERE
  total_supply <> total_distribution
  OR total_supply <> COALESCE(beginning_stocks, 0) + production + imports
  OR total_distribution <> exports + domestic_use + other_use + COALESCE(ending_stocks, 0)
