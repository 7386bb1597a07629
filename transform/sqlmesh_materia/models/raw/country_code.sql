/* NA is the Netherlands Antilles, and no missing value. */
MODEL (
  name raw.country_code,
  kind SEED (
    path '../../seeds/country_code.csv',
    csv_settings (keep_default_na = FALSE)
  ),
  grain country_code,
  description 'The file seeds/country_code.csv, line for line: every country of USDA''s PSD API, with its ISO code and its region, as the API listed them on 2026-10-23. serving.dim_country has them.',
  columns (
    country_code TEXT,
    iso_code TEXT,
    region TEXT
  ),
  column_descriptions (
    country_code = 'USDA country code',
    iso_code = 'Three letters, ISO 3166-1 or GENC; empty for a union, a dissolved state, or a group',
    region = 'USDA region; empty for a code that is in none'
  ),
  audits (UNIQUE_VALUES(columns := (
      country_code
  )), NUMBER_OF_ROWS(threshold := 0))
)
