AUDIT (
  name european_union_is_not_counted_twice,
  blocking FALSE
);

/* The row of the European Union contains its members. A member with figures of its own
beside it would be counted twice in a world total. */
SELECT
  part.commodity_code,
  part.country_code,
  part.market_year,
  whole.country_code AS counted_in,
  part.total_supply
FROM @this_model AS part
JOIN cleaned.cln_psdalldata__country_member AS member
  ON member.country_code = part.country_code
  AND member.area_code IN ('E2', 'E3', 'E4')
  AND part.market_year >= COALESCE(member.first_market_year, part.market_year)
  AND part.market_year <= COALESCE(member.last_market_year, part.market_year)
JOIN @this_model AS whole
  ON whole.country_code = member.area_code
  AND whole.commodity_code = part.commodity_code
  AND whole.market_year = part.market_year
WHERE
  part.total_supply > 0 AND whole.total_supply > 0
