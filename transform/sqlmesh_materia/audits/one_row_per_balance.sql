AUDIT (
  name one_row_per_balance
);

/* The names join one to one: the wide table has each balance once, with every name. */
WITH counted AS (
  SELECT
    COUNT(*) AS rows,
    COUNT(commodity) AS commodities,
    COUNT(country) AS countries
  FROM @this_model
), balance AS (
  SELECT
    COUNT(*) AS rows
  FROM serving.fct_balance
)
SELECT
  *
FROM counted, balance
WHERE
  counted.rows <> balance.rows
  OR counted.commodities <> balance.rows
  OR counted.countries <> balance.rows
