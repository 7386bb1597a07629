MODEL (
  name staging.stg_psdalldata__change,
  kind VIEW,
  grain (
    archive,
    release,
    is_added,
    commodity_code,
    country_code,
    market_year,
    attribute_id
  ),
  description 'The change log: every row that a release added or removed, compared with the release before it. A changed value is one removed and one added row. The oldest release has no entries, since no release is before it. Filter on release: then only that release is read.',
  columns (
    archive TEXT,
    release DATE,
    is_added BOOLEAN,
    commodity_code TEXT,
    country_code TEXT,
    market_year SMALLINT,
    attribute_id SMALLINT,
    unit_id TINYINT,
    value DECIMAL(18, 4)
  ),
  column_descriptions (
    archive = 'Archive',
    release = 'Release that added or removed the row, first day of its month',
    is_added = 'True when the row was added, false when it was removed',
    commodity_code = 'Seven digits, zero-padded',
    country_code = 'USDA country code',
    market_year = 'Marketing year in today''s labelling, whatever the release called it',
    attribute_id = 'USDA attribute id',
    unit_id = 'USDA unit id',
    value = 'The added or removed value'
  ),
  audits (
    NOT_NULL(columns := (archive, release, is_added))
  )
);

/* Where coffee was relabelled, a row that stands under its old label stands for another year from then on: it
went for the one and came for the other. */
WITH relabelled AS (
  SELECT
    release.archive,
    release.release,
    side.is_added
  FROM staging.stg_psdalldata__release AS release
  CROSS JOIN (VALUES
    (TRUE),
    (FALSE)) AS side(is_added)
  WHERE
    release.coffee_year_shift <> release.previous_coffee_year_shift
), coffee AS (
  SELECT
    archive,
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    unit_id,
    value,
    first_release,
    NULL::DATE AS end_release
  FROM raw.psd_value
  WHERE
    commodity_code = 711100
  UNION ALL
  SELECT
    archive,
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    unit_id,
    value,
    first_release,
    end_release
  FROM raw.psd_value_ended
  WHERE
    commodity_code = 711100
), changed AS (
  SELECT
    archive,
    first_release AS release,
    TRUE AS is_added,
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    unit_id,
    value
  FROM raw.psd_value
  UNION ALL
  SELECT
    archive,
    first_release AS release,
    TRUE AS is_added,
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    unit_id,
    value
  FROM raw.psd_value_ended
  UNION ALL
  SELECT
    archive,
    end_release AS release,
    FALSE AS is_added,
    commodity_code,
    country_code,
    market_year,
    attribute_id,
    unit_id,
    value
  FROM raw.psd_value_ended
  UNION ALL
  SELECT
    coffee.archive,
    relabelled.release,
    relabelled.is_added,
    coffee.commodity_code,
    coffee.country_code,
    coffee.market_year,
    coffee.attribute_id,
    coffee.unit_id,
    coffee.value
  FROM coffee
  JOIN relabelled
    ON relabelled.archive = coffee.archive
    AND coffee.first_release < relabelled.release
    AND (
      coffee.end_release IS NULL OR coffee.end_release > relabelled.release
    )
)
SELECT
  changed.archive::TEXT AS archive,
  changed.release,
  changed.is_added,
  LPAD(changed.commodity_code::TEXT, 7, '0') AS commodity_code,
  changed.country_code::TEXT AS country_code,
  (
    changed.market_year + CASE
      WHEN changed.commodity_code <> 711100
      THEN 0
      WHEN changed.is_added
      THEN release.coffee_year_shift
      ELSE release.previous_coffee_year_shift
    END
  )::SMALLINT AS market_year,
  changed.attribute_id,
  changed.unit_id,
  changed.value
FROM changed
JOIN staging.stg_psdalldata__release AS release
  ON release.archive = changed.archive
  AND release.release = changed.release
  AND NOT release.previous_release IS NULL
WHERE
  NOT changed.archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod')
