AUDIT (
  name world_use_is_not_negative,
  blocking FALSE
);

/* Stocks that grew by more than was produced: a figure of USDA's is wrong, not ours. */
SELECT
  commodity_code,
  market_year,
  world_use
FROM @this_model
WHERE
  world_use < 0
