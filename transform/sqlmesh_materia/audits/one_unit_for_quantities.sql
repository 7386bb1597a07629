AUDIT (
  name one_unit_for_quantities,
  blocking FALSE
);

/* Totals mean something only where all quantities of a commodity have one unit: within a balance, and over
countries. The unit that most of its balances have is taken for the right one. */
WITH counted AS (
  SELECT
    commodity_code,
    quantity_unit_id,
    ROW_NUMBER() OVER (PARTITION BY commodity_code ORDER BY COUNT(*) DESC, quantity_unit_id) AS place
  FROM @this_model
  GROUP BY
    commodity_code,
    quantity_unit_id
)
SELECT
  balance.commodity_code,
  balance.country_code,
  balance.market_year,
  balance.quantity_unit_id,
  balance.other_unit_id,
  usual.quantity_unit_id AS usual_unit_id
FROM @this_model AS balance
JOIN counted AS usual
  ON usual.commodity_code = balance.commodity_code AND usual.place = 1
WHERE
  balance.quantity_unit_id <> usual.quantity_unit_id
  OR NOT balance.other_unit_id IS NULL
