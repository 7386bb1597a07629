MODEL (
  name staging.stg_rate,
  kind FULL,
  description 'Rates by month, one row for each name.',
  audits (NOT_NULL(columns := (month, name, rate)))
);

SELECT
  month::DATE AS month,
  name::TEXT AS name,
  value::INTEGER AS rate
FROM raw.rates
