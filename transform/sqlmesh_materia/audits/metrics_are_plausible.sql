AUDIT (
  name metrics_are_plausible,
  blocking FALSE
);

SELECT
  commodity_code,
  country_code,
  market_year,
  stocks_to_use_percent,
  world_share_of_production_percent,
  world_share_of_exports_percent
FROM @this_model
WHERE
  stocks_to_use_percent < 0
  OR NOT world_share_of_production_percent BETWEEN 0 AND 100.0001
  OR NOT world_share_of_exports_percent BETWEEN 0 AND 100.0001
