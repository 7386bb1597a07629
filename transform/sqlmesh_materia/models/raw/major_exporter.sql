MODEL (
  name raw.major_exporter,
  kind SEED (
    path '../../seeds/major_exporter.csv'
  ),
  grain (commodity_code, country_code),
  description 'The file seeds/major_exporter.csv, line for line: what WASDE counts as a major exporter beside the United States, for the commodities whose list was seen. Add a line to extend it.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    source TEXT
  ),
  column_descriptions (
    commodity_code = 'Code without its leading zeros, which pandas drops: pad it to seven digits',
    country_code = 'USDA country code',
    source = 'Where it was read'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, country_code)),
    NUMBER_OF_ROWS(threshold := 0)
  )
)
