MODEL (
  name raw.major_trader,
  kind SEED (
    path '../../seeds/major_trader.csv'
  ),
  grain (group_name, commodity_code, country_code),
  description 'The file seeds/major_trader.csv, line for line: what WASDE counts as a major exporter beside the United States, and as a major importer, since 2021 at least; older reports have shorter lists. Add a line to extend it.',
  columns (
    group_name TEXT,
    commodity_code TEXT,
    country_code TEXT,
    source TEXT
  ),
  column_descriptions (
    group_name = 'Major exporters or Major importers',
    commodity_code = 'Code without its leading zeros, which pandas drops: pad it to seven digits',
    country_code = 'USDA country code',
    source = 'Where it was read'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (group_name, commodity_code, country_code)),
    NUMBER_OF_ROWS(threshold := 0)
  )
)
