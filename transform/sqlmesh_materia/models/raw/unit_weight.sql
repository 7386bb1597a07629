/* The weight is a DOUBLE: SQLMesh reads the file with pandas, which makes it one, and Spark takes no other for a DECIMAL.
serving.dim_unit has it exactly. */
MODEL (
  name raw.unit_weight,
  kind SEED (
    path '../../seeds/unit_weight.csv',
    csv_settings (keep_default_na = FALSE)
  ),
  grain (unit, commodity_code),
  description 'The file seeds/unit_weight.csv, line for line: units of trade with their weight. A bushel weighs something else for each grain. serving.dim_unit has the factors for each commodity.',
  columns (
    unit TEXT,
    commodity_code TEXT,
    kilograms DOUBLE,
    source TEXT
  ),
  column_descriptions (
    unit = 'Name of the unit',
    commodity_code = 'Commodity that the weight is for; empty when it is the same for all',
    kilograms = 'Its weight in kg',
    source = 'Where the factor is from'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (unit, commodity_code)),
    NUMBER_OF_ROWS(threshold := 0)
  )
)
