MODEL (
  name raw.acme_price,
  kind VIEW,
  description 'Prices as Acme published them, one row for each item and month.',
  grain (month, item)
);

SELECT
  period AS month,
  item,
  price
FROM raw.acme_row
