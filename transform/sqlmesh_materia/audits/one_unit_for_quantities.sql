AUDIT (
  name one_unit_for_quantities,
  blocking FALSE
);

/* Totals over countries mean something only where a commodity has one unit. */
SELECT
  commodity_code,
  COUNT(DISTINCT quantity_unit_id) AS units
FROM @this_model
GROUP BY
  commodity_code
HAVING
  COUNT(DISTINCT quantity_unit_id) > 1
