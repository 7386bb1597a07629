MODEL (
  name raw.major_trader,
  kind SEED (
    path '../../seeds/major_trader.csv'
  ),
  grain (group_name, commodity_code, country_code, first_month),
  description 'The file seeds/major_trader.csv, line for line: what WASDE counts as a major exporter beside the United States, and as a major importer, and in which months. Each report uses its own list for all of its market years. Add a line to extend it.',
  columns (
    group_name TEXT,
    commodity_code TEXT,
    country_code TEXT,
    first_month DATE,
    last_month DATE,
    source TEXT
  ),
  column_descriptions (
    group_name = 'Major exporters or Major importers',
    commodity_code = 'Seven digits, zero-padded; or Coarse grains, the group of dim_commodity_group',
    country_code = 'USDA country code',
    first_month = 'Month of the first report with this list, among those that were read: June 2005, and all from July 2010 to May 2025',
    last_month = 'Month of the last report with it; null while it is in the newest',
    source = 'Where it was read'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (group_name, commodity_code, country_code, first_month)),
    NUMBER_OF_ROWS(threshold := 0)
  )
)
