AUDIT (
  name release_is_recent,
  blocking FALSE
);

/* A commodity whose archive stopped while others went on. Compared with the newest loaded release and not
with the clock, so that an old state can be rebuilt without a warning. */
SELECT
  commodity_code,
  latest_release
FROM @this_model
WHERE
  latest_release < (
    SELECT
      MAX(latest_release)
    FROM @this_model
  ) - INTERVAL '45' DAY
