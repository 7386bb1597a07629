MODEL (
  name serving.dim_unit,
  kind VIEW,
  grain (commodity_code, unit),
  description 'Units of trade for each commodity that has a weight: bushel, hundredweight, short ton, pound, bag, bale and tonne. A quantity times units_per_quantity is the quantity in that unit.',
  columns (
    commodity_code TEXT,
    unit TEXT,
    kilograms DECIMAL(18, 8),
    units_per_quantity DOUBLE,
    source TEXT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    unit = 'bushel, hundredweight, short ton, pound, bag of 60 kg, bale of 480 lb, or tonne; a bushel only where its weight is known',
    kilograms = 'Weight of one such unit in kg',
    units_per_quantity = 'How many of them are one unit of fct_balance: 39,368.26 bushels of corn are 1000 t',
    source = 'Where the factor is from'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, unit)),
    NOT_NULL(columns := (commodity_code, unit, units_per_quantity))
  )
);

WITH weight AS (
  SELECT
    unit,
    commodity_code,
    kilograms,
    source
  FROM raw.unit_weight
  UNION ALL
  SELECT
    'tonne' AS unit,
    '' AS commodity_code,
    1000 AS kilograms,
    'By definition' AS source
)
SELECT
  commodity.commodity_code,
  weight.unit,
  weight.kilograms::DECIMAL(18, 8) AS kilograms,
  1000 * commodity.tonnes_per_unit::DOUBLE / weight.kilograms::DOUBLE AS units_per_quantity,
  weight.source
FROM serving.dim_commodity AS commodity
JOIN weight
  ON weight.commodity_code = commodity.commodity_code OR weight.commodity_code = ''
WHERE
  NOT commodity.tonnes_per_unit IS NULL
