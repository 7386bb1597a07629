MODEL (
  name staging.stg_psdalldata__attribute,
  kind VIEW,
  grain attribute_id,
  description 'The names of the attributes, one row per id. Two ids can share a name (126 and 173, 133 and 135).',
  columns (
    attribute_id SMALLINT,
    attribute TEXT
  ),
  column_descriptions (
    attribute_id = 'USDA attribute id',
    attribute = 'USDA name in the newest release that has the code'
  ),
  audits (
    UNIQUE_VALUES(columns := (
      attribute_id
    )),
    NOT_NULL(columns := (attribute_id, attribute))
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
    kind = 'attribute'
  UNION ALL
  SELECT
    archive,
    code,
    label,
    end_release
  FROM raw.psd_label_ended
  WHERE
    kind = 'attribute'
), named AS (
  SELECT
    *,
    archive IN ('psd_eu_area_prod', 'psd_russiabreakdown_area_prod') AS is_part
  FROM label
)
SELECT
  code::SMALLINT AS attribute_id,
  ARG_MAX(label, (end_release, archive = 'psd_alldata', NOT is_part, archive)) AS attribute
FROM named
GROUP BY
  code
