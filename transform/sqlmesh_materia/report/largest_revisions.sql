-- The largest revisions of the newest release
-- For each commodity the three figures that the newest release revised most, in the unit of the
-- figure: production, imports, exports, domestic use and ending stocks of a country.
-- The line is the forecast from its first known value to the newest one, release by release.
WITH history AS (
  SELECT *
  FROM serving.fct_revision
  WHERE attribute_id IN (28, 57, 88, 117, 125, 126, 135, 142, 176)
), largest AS (
  SELECT *
  FROM history
  WHERE release = (SELECT max(release) FROM staging.stg_psdalldata__release) AND kind = 'revised'
  QUALIFY row_number() OVER (
    PARTITION BY commodity_code
    ORDER BY abs(change) DESC NULLS LAST, country_code, market_year, attribute_id
  ) <= 3
), forecast AS (
  SELECT
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    list_prepend(first(history.first_value), list(history.current_value ORDER BY history.release))
      AS forecast
  FROM history
  SEMI JOIN largest USING (commodity_code, country_code, market_year, attribute_id)
  GROUP BY ALL
)
SELECT
  commodity.commodity,
  country.country,
  largest.market_year,
  attribute.attribute,
  largest.previous_value AS previous,
  largest.current_value AS current,
  largest.change,
  round(largest.change_percent, 1) AS percent,
  unit.unit,
  largest.revision_number AS revision,
  forecast.forecast
FROM largest
JOIN forecast USING (commodity_code, country_code, market_year, attribute_id)
LEFT JOIN serving.dim_commodity AS commodity USING (commodity_code)
LEFT JOIN serving.dim_country AS country USING (country_code)
LEFT JOIN staging.stg_psdalldata__attribute AS attribute USING (attribute_id)
LEFT JOIN staging.stg_psdalldata__unit AS unit USING (unit_id)
ORDER BY commodity.commodity, abs(largest.change) DESC NULLS LAST
