MODEL (
  name serving.fct_line,
  kind FULL,
  grain (month, name),
  description 'One row a line.',
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (month, name)),
    ACCEPTED_RANGE(column := value, min_v := 0)
  )
);

SELECT
  month::DATE AS month,
  name::TEXT AS name,
  value::INTEGER AS value
FROM raw.lines
