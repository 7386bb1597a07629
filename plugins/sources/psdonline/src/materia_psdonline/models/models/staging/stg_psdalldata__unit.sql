MODEL (
  name staging.stg_psdalldata__unit,
  kind VIEW,
  grain unit_id,
  description 'The names of the units, one row per id.',
  columns (
    unit_id TINYINT,
    unit TEXT
  ),
  column_descriptions (
    unit_id = 'USDA unit id',
    unit = 'USDA name in the newest release that has the code'
  ),
  audits (UNIQUE_VALUES(columns := (
      unit_id
  )), NOT_NULL(columns := (unit_id, unit)))
);

WITH label AS (
  SELECT
    archive,
    code,
    label,
    '9999-12-31'::DATE AS end_release
  FROM raw.psd_label
  WHERE
    kind = 'unit'
  UNION ALL
  SELECT
    archive,
    code,
    label,
    end_release
  FROM raw.psd_label_ended
  WHERE
    kind = 'unit'
), named AS (
  SELECT
    *,
    archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod') AS is_part
  FROM label
)
SELECT
  code::TINYINT AS unit_id,
  ARG_MAX(label, (end_release, archive = 'psd_alldata', NOT is_part, archive)) AS unit
FROM named
GROUP BY
  code
