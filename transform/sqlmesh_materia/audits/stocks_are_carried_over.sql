AUDIT (
  name stocks_are_carried_over,
  blocking FALSE
);

/* A warning. No pair of years of real grains fails this (PSD Online 2025-11), leaving out the years in which a
row stands for another area than before, such as the European Union in 2016. */
SELECT
  this_year.commodity_code,
  this_year.country_code,
  this_year.market_year,
  this_year.ending_stocks,
  next_year.beginning_stocks
FROM @this_model AS this_year
JOIN @this_model AS next_year
  ON next_year.commodity_code = this_year.commodity_code
  AND next_year.country_code = this_year.country_code
  AND next_year.market_year = this_year.market_year + 1
ANTI JOIN cleaned.cln_psdalldata__area_break AS broken
  ON broken.commodity_code = next_year.commodity_code
  AND broken.country_code = next_year.country_code
  AND broken.market_year = next_year.market_year
WHERE
  this_year.ending_stocks <> next_year.beginning_stocks
