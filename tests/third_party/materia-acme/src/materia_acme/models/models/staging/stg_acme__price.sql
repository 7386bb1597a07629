MODEL (
  name staging.stg_acme__price,
  kind FULL,
  description 'Prices by the last day of the month they hold for.',
  grain (valid_on, item),
  audits (
    NOT_NULL(columns := (valid_on, item, price)),
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (valid_on, item))
  )
);

SELECT
  LAST_DAY(month)::DATE AS valid_on,
  TRIM(item)::TEXT AS item,
  price::DECIMAL(18, 2) AS price
FROM raw.acme_price
