AUDIT (
  name yield_agrees_with_area,
  blocking FALSE
);

/* USDA's own yield against production over area (rough rice over area for rice): USDA rounds to two decimals,
and a small area makes that coarse. */
SELECT
  commodity_code,
  country_code,
  market_year,
  yield,
  yield_tonnes_per_ha
FROM @this_model
WHERE
  area_harvested >= 10
  AND ABS(
    yield::DOUBLE / CASE WHEN commodity_group = 'Cotton' THEN 1000 ELSE 1 END - yield_tonnes_per_ha
  ) > 0.01 + 0.05 * yield_tonnes_per_ha
