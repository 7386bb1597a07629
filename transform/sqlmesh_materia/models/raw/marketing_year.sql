MODEL (
  name raw.marketing_year,
  kind SEED (
    path '../../seeds/marketing_year.csv'
  ),
  grain (commodity_code, country_code),
  description 'The file seeds/marketing_year.csv, line for line: the month in which a marketing year begins, where a public document says so. It is not in the files of PSD Online. Add a line to extend it.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    first_month SMALLINT,
    source TEXT
  ),
  column_descriptions (
    commodity_code = 'Code without its leading zeros, which pandas drops: pad it to seven digits',
    country_code = 'USDA country code; * for every country without a line of its own',
    first_month = 'First month, 1 to 12, in the year that labels the marketing year',
    source = 'Document that says so, with its date or the date of reading'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, country_code)),
    ACCEPTED_RANGE("column" := first_month, min_v := 1, max_v := 12),
    NUMBER_OF_ROWS(threshold := 0)
  )
)
