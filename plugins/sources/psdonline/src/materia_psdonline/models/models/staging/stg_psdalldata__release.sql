MODEL (
  name staging.stg_psdalldata__release,
  kind VIEW,
  grain (archive, release),
  description 'The releases that are loaded, each with the one before it. A month that is missing here was never published (2013-10, 2019-01, 2025-10) or is not loaded.',
  columns (
    archive TEXT,
    release DATE,
    previous_release DATE,
    is_latest BOOLEAN,
    row_count INT,
    coffee_year_shift SMALLINT,
    previous_coffee_year_shift SMALLINT
  ),
  column_descriptions (
    archive = 'Archive, for example psd_alldata',
    release = 'First day of the month of the release',
    previous_release = 'The loaded release before it; null for the oldest',
    is_latest = 'Whether it is the newest of its archive',
    row_count = 'Rows of the archive',
    coffee_year_shift = 'Added to the market years of its coffee rows to get today''s labelling',
    previous_coffee_year_shift = 'The same of the release before it'
  ),
  audits (
    UNIQUE_COMBINATION_OF_COLUMNS(columns := (archive, release)),
    NOT_NULL(columns := (archive, release, row_count, coffee_year_shift)),
    ACCEPTED_RANGE("column" := row_count, min_v := 1)
  )
);

SELECT
  archive::TEXT AS archive,
  release,
  LAG(release) OVER (PARTITION BY archive ORDER BY release) AS previous_release,
  release = MAX(release) OVER (PARTITION BY archive) AS is_latest,
  rows AS row_count,
  coffee_year_shift::SMALLINT AS coffee_year_shift,
  (
    LAG(coffee_year_shift) OVER (PARTITION BY archive ORDER BY release)
  )::SMALLINT AS previous_coffee_year_shift
FROM raw.psd_release
