MODEL (
  name cleaned.cln_psdalldata__revision_error,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column release
  ),
  grain (release, archive, commodity_code, attribute_id, horizon_months),
  description 'Sums over the revisions of one release, by commodity, attribute and horizon, that serving.agg_revision_error adds up. Incremental by release, like the revisions.',
  columns (
    release DATE,
    archive TEXT,
    commodity_code TEXT,
    attribute_id SMALLINT,
    horizon_months SMALLINT,
    revision_count INT,
    up_count INT,
    change DECIMAL(38, 4),
    absolute_change DECIMAL(38, 4),
    squared_change DOUBLE,
    absolute_previous DECIMAL(38, 4)
  ),
  column_descriptions (
    release = 'Release that made the changes, first day of its month',
    archive = 'Archive they were seen in',
    commodity_code = 'Seven digits, zero-padded',
    attribute_id = 'USDA attribute id',
    horizon_months = 'Months from the release to December of the year that labels the market year; everything beyond three years after it is -36',
    revision_count = 'Revised figures; new, dropped and re-denominated ones do not count',
    up_count = 'Those that went up',
    change = 'Sum of current - previous',
    absolute_change = 'Sum of its size',
    squared_change = 'Sum of its square',
    absolute_previous = 'Sum of the size of the previous values'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (release, archive, commodity_code, attribute_id, horizon_months)),
    ACCEPTED_RANGE("column" := revision_count, min_v := 1)
  )
);

SELECT
  release,
  archive,
  commodity_code,
  attribute_id,
  GREATEST(12 * market_year + 12 - 12 * YEAR(release) - MONTH(release), -36)::SMALLINT AS horizon_months,
  COUNT(*)::INT AS revision_count,
  COUNT(*) FILTER(WHERE
    current_value > previous_value)::INT AS up_count,
  SUM(current_value - previous_value) AS change,
  SUM(ABS(current_value - previous_value)) AS absolute_change,
  SUM(POWER((
    current_value - previous_value
  )::DOUBLE, 2)) AS squared_change,
  SUM(ABS(previous_value)) AS absolute_previous
FROM cleaned.cln_psdalldata__revision
WHERE
  release BETWEEN @start_date AND @end_date
  AND kind = 'revised'
  AND previous_unit_id = unit_id
  AND NOT current_value - previous_value IS NULL
GROUP BY
  1,
  2,
  3,
  4,
  5
ORDER BY
  1,
  3,
  4,
  5
