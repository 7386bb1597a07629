MODEL (
  name serving.dim_country_group,
  kind VIEW,
  grain (group_name, commodity_code, country_code),
  description 'Groups of countries with their rows, which can be added up for the given market years: USDA''s regions, Middle East and North Africa, the European Union at its sizes, and WASDE''s major exporters and importers by its newest lists (raw.major_trader has the older ones). The European Union''s members and years follow from cln_psdalldata__country_member, and from nothing else.',
  columns (
    group_name TEXT,
    commodity_code TEXT,
    country_code TEXT,
    first_market_year SMALLINT
  ),
  column_descriptions (
    group_name = 'A region of dim_country; Middle East and North Africa; EU-15, EU-25, EU-27, EU-28; Major exporters or Major importers of a commodity; Major exporters of coarse grains, Major importers of coarse grains, for each of these',
    commodity_code = 'Commodity that the group is for; empty when it is the same for all',
    country_code = 'USDA code of a row of the group: a country, or a union',
    first_market_year = 'First market year in which the row has the extent of the group; null when it always has'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (group_name, commodity_code, country_code)),
    NOT_NULL(columns := (group_name, commodity_code, country_code))
  )
);

/* EU-28: the row of the union at its time, and each member with a row of its own then, dissolved states included; from
1992 on all of it has rows. EU-27 begins in the year in which the last member that left has a row of its own. */
WITH member AS (
  SELECT
    *
  FROM cleaned.cln_psdalldata__country_member
  WHERE
    area_code = 'E4'
), eu_28 AS (
  SELECT
    country_code
  FROM member
  UNION
  SELECT
    country_code
  FROM serving.dim_country
  WHERE
    region = 'European Union'
)
SELECT
  region AS group_name,
  '' AS commodity_code,
  country_code,
  NULL::SMALLINT AS first_market_year
FROM serving.dim_country
WHERE
  NOT region IS NULL
UNION ALL
SELECT
  'Middle East and North Africa' AS group_name,
  '' AS commodity_code,
  country_code,
  NULL::SMALLINT AS first_market_year
FROM serving.dim_country
WHERE
  region IN ('Middle East', 'North Africa')
UNION ALL
SELECT
  'EU-28' AS group_name,
  '' AS commodity_code,
  country_code,
  NULL::SMALLINT AS first_market_year
FROM eu_28
UNION ALL
SELECT
  CASE WHEN country_code = 'E2' THEN 'EU-15' ELSE 'EU-25' END AS group_name,
  '' AS commodity_code,
  country_code,
  NULL::SMALLINT AS first_market_year
FROM serving.dim_country
WHERE
  country_code IN ('E2', 'E3')
UNION ALL
SELECT
  'EU-27' AS group_name,
  '' AS commodity_code,
  area_code AS country_code,
  (
    MAX(last_market_year) + 1
  )::SMALLINT AS first_market_year
FROM member
GROUP BY
  area_code
UNION ALL
SELECT
  group_name,
  LPAD(commodity_code, 7, '0') AS commodity_code,
  country_code,
  NULL::SMALLINT AS first_market_year
FROM raw.major_trader
WHERE
  last_month IS NULL AND commodity_code <> 'Coarse grains'
UNION ALL
SELECT
  trader.group_name || ' of coarse grains' AS group_name,
  commodity.commodity_code,
  trader.country_code,
  NULL::SMALLINT AS first_market_year
FROM raw.major_trader AS trader
JOIN serving.dim_commodity_group AS commodity
  ON commodity.group_name = trader.commodity_code
WHERE
  trader.last_month IS NULL
