MODEL (
  name cleaned.cln_psdalldata__area_break,
  kind VIEW,
  grain (commodity_code, country_code, market_year),
  description 'Market years in which the row of a country or union covers another area than in the year before: a member joined or left. The figures of both years are not comparable, for example for the European Union in 2016, when the United Kingdom became a row of its own. Either cln_psdalldata__country_member gives the year, or a member''s own row begins or ends in it.',
  columns (
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA code of the area',
    market_year = 'Market year that is not comparable with the one before'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, country_code, market_year)),
    NOT_NULL(columns := (commodity_code, country_code, market_year))
  )
);

/* A row of zeros is none: coffee has one of Croatia beside the European Union. */
WITH own AS (
  SELECT
    member.area_code,
    balance.commodity_code,
    balance.market_year,
    LAG(balance.market_year) OVER (
      PARTITION BY member.area_code, balance.commodity_code, balance.country_code
      ORDER BY balance.market_year
    ) AS year_before,
    LEAD(balance.market_year) OVER (
      PARTITION BY member.area_code, balance.commodity_code, balance.country_code
      ORDER BY balance.market_year
    ) AS year_after
  FROM cleaned.cln_psdalldata__commodity_pivoted AS balance
  JOIN cleaned.cln_psdalldata__country_member AS member
    ON member.country_code = balance.country_code
  WHERE
    balance.total_supply > 0
), moved AS (
  SELECT
    commodity_code,
    area_code,
    market_year
  FROM own
  WHERE
    year_before IS NULL OR year_before < market_year - 1
  UNION ALL
  SELECT
    commodity_code,
    area_code,
    market_year + 1 AS market_year
  FROM own
  WHERE
    year_after IS NULL OR year_after > market_year + 1
), area AS (
  SELECT DISTINCT
    commodity_code,
    country_code,
    market_year
  FROM cleaned.cln_psdalldata__commodity_pivoted
  WHERE
    country_code IN (
      SELECT
        area_code
      FROM cleaned.cln_psdalldata__country_member
    )
)
SELECT
  area.commodity_code,
  area.country_code,
  area.market_year
FROM area
SEMI JOIN moved
  ON moved.commodity_code = area.commodity_code
  AND moved.area_code = area.country_code
  AND moved.market_year = area.market_year
UNION
SELECT
  area.commodity_code,
  area.country_code,
  area.market_year
FROM area
SEMI JOIN cleaned.cln_psdalldata__country_member AS member
  ON member.area_code = area.country_code
  AND (
    member.first_market_year = area.market_year
    OR member.last_market_year + 1 = area.market_year
  )
