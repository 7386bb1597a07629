/* Releases come every month; three were skipped in twenty years, each by a single month. Forty-five days into
a month without that month's release, something has stopped. The newest release is compared with the newest
loaded one, not with the clock, so that an old state can be rebuilt without a warning. */
AUDIT (
  name release_is_recent,
  blocking FALSE
);

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
