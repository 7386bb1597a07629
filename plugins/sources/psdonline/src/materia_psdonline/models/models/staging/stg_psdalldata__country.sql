MODEL (
  name staging.stg_psdalldata__country,
  kind VIEW,
  grain country_code,
  description 'The names of the countries, one row per code, dropped ones included, and those that occur only in raw.psd_area_breakdown.',
  columns (
    country_code TEXT,
    country TEXT
  ),
  column_descriptions (
    country_code = 'USDA country code, not ISO; NA is Netherlands Antilles',
    country = 'USDA name in the newest release that has the code'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      country_code
    )),
    NOT_NULL(columns := (country_code, country))
  )
);

WITH label AS (
  SELECT
    archive,
    code,
    label,
    '9999-12-31'::DATE AS end_release
  FROM raw.psd_label
  WHERE
    kind = 'country'
  UNION ALL
  SELECT
    archive,
    code,
    label,
    end_release
  FROM raw.psd_label_ended
  WHERE
    kind = 'country'
), named AS (
  SELECT
    *,
    archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod') AS is_part
  FROM label
)
SELECT
  code AS country_code,
  ARG_MAX(label, (end_release, archive = 'psd_alldata', NOT is_part, archive)) AS country
FROM named
GROUP BY
  code
