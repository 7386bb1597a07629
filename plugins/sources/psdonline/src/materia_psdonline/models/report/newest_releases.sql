-- The newest releases
-- Rows of the twelve newest releases of each archive, and how many more than in the release before.
SELECT
  release,
  archive,
  row_count,
  row_count - lag(row_count) OVER (PARTITION BY archive ORDER BY release) AS more_than_before
FROM staging.stg_psdalldata__release
QUALIFY row_number() OVER (PARTITION BY archive ORDER BY release DESC) <= 12
ORDER BY release DESC, archive
