MODEL (
  name serving.dim_commodity,
  kind FULL,
  grain commodity_code,
  description 'Commodities, with the facts needed to read their balances: unit, conversion to tonnes, attribute of the domestic use, whether the code repeats another one. Those that USDA has dropped, and spring and winter wheat, which occur only in raw.psd_area_breakdown, have their name and no balances.',
  columns (
    commodity_code TEXT,
    commodity TEXT,
    commodity_group TEXT,
    quantity_unit TEXT,
    tonnes_per_unit DECIMAL(18, 6),
    use_attribute_id SMALLINT,
    has_stocks BOOLEAN,
    has_area BOOLEAN,
    is_current BOOLEAN,
    is_local_year BOOLEAN,
    is_calendar_year BOOLEAN,
    first_market_year SMALLINT,
    last_market_year SMALLINT,
    country_count INT,
    archive TEXT,
    latest_release DATE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    commodity = 'USDA name',
    commodity_group = 'Group of the commodity, by code',
    quantity_unit = 'Unit of its quantities, as USDA writes it',
    tonnes_per_unit = 'Tonnes in one such unit; null where it is not a weight (head). Beef, veal and pork are carcass weight; a cotton bale is 480 lb, a coffee bag 60 kg',
    use_attribute_id = 'Attribute that holds the domestic use: 125 for most, 126 sugar, 142 cotton, 117 (slaughter) cattle and swine, 135 (fresh) citrus and grapes',
    has_stocks = 'Whether USDA keeps stocks; not for citrus, fresh fruit and fluid milk',
    has_area = 'Whether USDA keeps an area harvested',
    is_current = 'Whether the newest release has balances of it',
    is_local_year = 'Whether it repeats the soybeans, meal or oil of Brazil and Argentina on their own year: left out of every world total',
    is_calendar_year = 'Whether its market year is the calendar year (livestock, meat, dairy)',
    first_market_year = 'First market year with a balance',
    last_market_year = 'Last market year with a balance',
    country_count = 'Countries with balances; 0 where there are none',
    archive = 'Archive it is read from; null for a commodity that occurs only in raw.psd_area_breakdown',
    latest_release = 'Newest loaded release of that archive, first day of its month'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      commodity_code
    )),
    NOT_NULL(columns := (commodity_code, commodity, commodity_group, is_current)),
    NOT_NULL(columns := (archive, latest_release), condition := is_current),
    NOT_NULL_NON_BLOCKING(columns := (quantity_unit, use_attribute_id), condition := is_current),
    NUMBER_OF_ROWS(threshold := 0),
    release_is_recent
  )
);

WITH balance AS (
  SELECT
    commodity_code,
    MAX(quantity_unit_id) AS quantity_unit_id,
    CASE
      WHEN COUNT(domestic_consumption) > 0
      THEN 125
      WHEN COUNT(total_disappearance_126) > 0
      THEN 126
      WHEN COUNT(total_disappearance_173) > 0
      THEN 173
      WHEN COUNT(domestic_use) > 0
      THEN 142
      WHEN COUNT(total_slaughter) > 0
      THEN 117
      WHEN COUNT(fresh_consumption_135) > 0
      THEN 135
      WHEN COUNT(fresh_consumption_133) > 0
      THEN 133
    END AS use_attribute_id,
    COUNT(ending_stocks) > 0 AS has_stocks,
    COUNT(area_harvested) > 0 AS has_area,
    MIN(market_year) AS first_market_year,
    MAX(market_year) AS last_market_year,
    COUNT(DISTINCT country_code)::INT AS country_count
  FROM cleaned.cln_psdalldata__commodity_pivoted
  GROUP BY
    commodity_code
), code AS (
  SELECT
    commodity_code
  FROM balance
  UNION
  SELECT
    commodity_code
  FROM staging.stg_psdalldata__commodity_name
), grouped AS (
  SELECT
    *,
    NOT balance.first_market_year IS NULL AS is_current,
    CASE
      WHEN commodity_code LIKE '04%'
      THEN 'Grains'
      WHEN commodity_code LIKE '22%'
      THEN 'Oilseeds'
      WHEN commodity_code LIKE '081%'
      THEN 'Meals'
      WHEN commodity_code LIKE '42%'
      THEN 'Oils'
      WHEN commodity_code LIKE '001%'
      THEN 'Live animals'
      WHEN commodity_code LIKE '011%'
      THEN 'Meat'
      WHEN commodity_code LIKE '022%' OR commodity_code IN ('0230000', '0240000')
      THEN 'Dairy'
      WHEN commodity_code LIKE '0577%'
      THEN 'Tree nuts'
      WHEN commodity_code LIKE '057%'
      THEN 'Fruit'
      WHEN commodity_code LIKE '0585%'
      THEN 'Juice'
      WHEN commodity_code LIKE '0612%'
      THEN 'Sugar'
      WHEN commodity_code LIKE '0711%'
      THEN 'Coffee'
      WHEN commodity_code LIKE '2631%'
      THEN 'Cotton'
      ELSE 'Other'
    END AS commodity_group
  FROM code
  LEFT JOIN balance
    USING (commodity_code)
)
SELECT
  grouped.commodity_code,
  COALESCE(name.commodity, grouped.commodity_code) AS commodity,
  grouped.commodity_group,
  unit.unit AS quantity_unit,
  (
    CASE grouped.quantity_unit_id
      WHEN 8
      THEN 1000
      WHEN 7
      THEN 1000
      WHEN 21
      THEN 1
      WHEN 2
      THEN 60
      WHEN 27
      THEN 217.724338
    END
  )::DECIMAL(18, 6) AS tonnes_per_unit,
  grouped.use_attribute_id::SMALLINT AS use_attribute_id,
  grouped.has_stocks,
  grouped.has_area,
  grouped.is_current,
  grouped.commodity_code IN ('2222001', '0813101', '4232001') AS is_local_year,
  grouped.commodity_group IN ('Live animals', 'Meat', 'Dairy') AS is_calendar_year,
  grouped.first_market_year,
  grouped.last_market_year,
  COALESCE(grouped.country_count, 0) AS country_count,
  chosen.archive,
  chosen.latest_release
FROM grouped
LEFT JOIN staging.stg_psdalldata__commodity_name AS name
  USING (commodity_code)
LEFT JOIN staging.stg_psdalldata__unit AS unit
  ON unit.unit_id = grouped.quantity_unit_id
LEFT JOIN raw.psd_archive_in_use AS chosen
  ON LPAD(chosen.commodity_code::TEXT, 7, '0') = grouped.commodity_code
ORDER BY
  grouped.commodity_code
