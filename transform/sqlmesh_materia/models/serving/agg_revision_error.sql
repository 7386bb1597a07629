MODEL (
  name serving.agg_revision_error,
  kind VIEW,
  grain (commodity_code, attribute_id, horizon_months),
  references commodity_code,
  description 'Revision error: the size of revisions by commodity, attribute and horizon, over all countries, market years and loaded releases. Only revisions of a figure in one unit count; new and dropped figures do not. A view over the partial sums of each release, so a new release computes only its own rows.',
  columns (
    commodity_code TEXT,
    attribute_id SMALLINT,
    horizon_months SMALLINT,
    revision_count BIGINT,
    mean_change DOUBLE,
    mean_absolute_change DOUBLE,
    root_mean_square_change DOUBLE,
    absolute_change_percent DOUBLE,
    up_share_percent DOUBLE
  ),
  column_descriptions (
    commodity_code = 'Seven digits, zero-padded',
    attribute_id = 'USDA attribute id',
    horizon_months = 'As in fct_revision; -36 also contains all later ones',
    revision_count = 'Number of revisions',
    mean_change = 'Mean of current - previous: the bias, in the unit of the attribute',
    mean_absolute_change = 'Mean of the absolute change',
    root_mean_square_change = 'Root mean square of the change',
    absolute_change_percent = 'Sum of the absolute changes in percent of the sum of the previous values: large balances weigh more',
    up_share_percent = 'Share of the revisions that raised the figure'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (commodity_code, attribute_id, horizon_months)),
    ACCEPTED_RANGE("column" := revision_count, min_v := 1),
    FORALL(criteria := (
      horizon_months >= -36
    ))
  )
);

SELECT
  error.commodity_code,
  error.attribute_id,
  error.horizon_months,
  SUM(error.revision_count)::BIGINT AS revision_count,
  SUM(error.change)::DOUBLE / SUM(error.revision_count) AS mean_change,
  SUM(error.absolute_change)::DOUBLE / SUM(error.revision_count) AS mean_absolute_change,
  SQRT(SUM(error.squared_change) / SUM(error.revision_count)) AS root_mean_square_change,
  100 * SUM(error.absolute_change)::DOUBLE / NULLIF(SUM(error.absolute_previous), 0)::DOUBLE AS absolute_change_percent,
  100 * SUM(error.up_count)::DOUBLE / SUM(error.revision_count) AS up_share_percent
FROM cleaned.cln_psdalldata__revision_error AS error
JOIN raw.psd_archive_in_use AS chosen
  ON LPAD(chosen.commodity_code::TEXT, 7, '0') = error.commodity_code
  AND chosen.archive = error.archive
GROUP BY
  error.commodity_code,
  error.attribute_id,
  error.horizon_months
