/* A number that may be missing is a DOUBLE: SQLMesh reads the file with pandas, which makes it one, and Spark takes no
other for a whole number. */
MODEL (
  name raw.country_member,
  kind SEED (
    path '../../seeds/country_member.csv'
  ),
  grain (area_code, country_code),
  description 'The file seeds/country_member.csv, line for line; cleaned.cln_psdalldata__country_member says what it means. Add a line to extend it.',
  columns (
    area_code TEXT,
    country_code TEXT,
    states SMALLINT,
    joined DATE,
    left_on DATE,
    first_market_year DOUBLE,
    last_market_year DOUBLE
  ),
  column_descriptions (
    area_code = 'USDA code of the larger area',
    country_code = 'USDA code of the part',
    states = 'States that the code adds to the count',
    joined = 'First day of its membership by treaty',
    left_on = 'Last day of its membership',
    first_market_year = 'First market year in which the row of the area contains it',
    last_market_year = 'Last market year in which the row of the area contains it'
  ),
  audits (
    NUMBER_OF_ROWS(threshold := 0)
  )
)
