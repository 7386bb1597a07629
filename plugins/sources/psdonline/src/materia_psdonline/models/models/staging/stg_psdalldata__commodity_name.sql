MODEL (
  name staging.stg_psdalldata__commodity_name,
  kind VIEW,
  grain commodity_code,
  description 'The names of the commodities, one row per code, dropped ones included, and those that occur only in raw.psd_area_breakdown.',
  columns (
    commodity_code TEXT,
    commodity TEXT
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    commodity = 'USDA name in the newest release that has the code'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      commodity_code
    )),
    NOT_NULL(columns := (commodity_code, commodity))
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
    kind = 'commodity'
  UNION ALL
  SELECT
    archive,
    code,
    label,
    end_release
  FROM raw.psd_label_ended
  WHERE
    kind = 'commodity'
), named AS (
  SELECT
    *,
    archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod') AS is_part
  FROM label
)
SELECT
  code AS commodity_code,
  ARG_MAX(label, (end_release, archive = 'psd_alldata', NOT is_part, archive)) AS commodity
FROM named
GROUP BY
  code
