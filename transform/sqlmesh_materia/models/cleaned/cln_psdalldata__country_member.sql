MODEL (
  name cleaned.cln_psdalldata__country_member,
  kind VIEW,
  grain (area_code, country_code),
  description 'Countries that are part of the row of a larger area, with the market years: the European Union at its sizes (E2 is EU-15, E3 EU-25, E4 the European Union of today with the United Kingdom up to 2015), and dissolved states. Years are those of USDA''s rows: from PSD Online, grains of 2025-11 and coffee of 2022-12, read on 2026-11-29. Dates are those of the European Union''s treaties (EU-28 is E4 on 2013-07-01, EU-27 after 2020-01-31): from its treaties of accession and its agreement with the United Kingdom.',
  columns (
    area_code TEXT,
    country_code TEXT,
    states SMALLINT,
    joined DATE,
    left_on DATE,
    first_market_year SMALLINT,
    last_market_year SMALLINT
  ),
  column_descriptions (
    area_code = 'USDA code of the larger area',
    country_code = 'USDA code of the part; it need not have rows of its own',
    states = 'States that the code adds to the count: 2 for Belgium-Luxembourg, 0 for either of them alone',
    joined = 'First day of its membership by treaty; null for dissolved states',
    left_on = 'Last day of its membership; null while it lasts',
    first_market_year = 'First market year in which the row of the area contains it, where the row is older than that; null otherwise',
    last_market_year = 'Last market year in which the row of the area contains it, where the row goes on without it; null otherwise'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (area_code, country_code)),
    NOT_NULL(columns := (area_code, country_code, states)),
    NUMBER_OF_ROWS(threshold := 0)
  )
);

SELECT
  area_code,
  country_code,
  states,
  joined,
  left_on,
  first_market_year::SMALLINT AS first_market_year,
  last_market_year::SMALLINT AS last_market_year
FROM raw.country_member
