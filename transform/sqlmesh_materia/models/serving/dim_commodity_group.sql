MODEL (
  name serving.dim_commodity_group,
  kind VIEW,
  grain (group_name, commodity_code),
  description 'Groups of commodities that WASDE and USDA''s circulars add up, one row per group and commodity. All quantities of a group are in 1000 t. Sum agg_world_balance or fct_balance over a group.',
  columns (
    group_name TEXT,
    commodity_code TEXT
  ),
  column_descriptions (
    group_name = 'Total grains (wheat, coarse grains, milled rice), Coarse grains, Oilseeds, Protein meals, or Vegetable oils',
    commodity_code = 'Seven digits, zero-padded; none of the soybean codes on a local year'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (group_name, commodity_code)),
    NOT_NULL(columns := (group_name, commodity_code))
  )
);

/* WASDE no. 665 (2025-11-14): coarse grains of the world, 1.576 billion tons, are the sum of these seven. */
WITH commodity AS (
  SELECT
    commodity_code
  FROM serving.dim_commodity
  WHERE
    NOT is_local_year
), coarse AS (
  SELECT
    commodity_code
  FROM commodity
  WHERE
    commodity_code IN ('0430000', '0440000', '0451000', '0452000', '0459100', '0459200', '0459900')
)
SELECT
  'Coarse grains' AS group_name,
  commodity_code
FROM coarse
UNION ALL
SELECT
  'Total grains' AS group_name,
  commodity_code
FROM coarse
UNION ALL
SELECT
  'Total grains' AS group_name,
  commodity_code
FROM commodity
WHERE
  commodity_code IN ('0410000', '0422110')
UNION ALL
SELECT
  CASE
    WHEN commodity_code LIKE '22%'
    THEN 'Oilseeds'
    WHEN commodity_code LIKE '081%'
    THEN 'Protein meals'
    ELSE 'Vegetable oils'
  END AS group_name,
  commodity_code
FROM commodity
WHERE
  commodity_code LIKE '22%'
  OR commodity_code LIKE '081%'
  OR commodity_code LIKE '42%'
