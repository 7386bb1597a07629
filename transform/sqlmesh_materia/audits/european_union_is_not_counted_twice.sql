AUDIT (
  name european_union_is_not_counted_twice,
  blocking FALSE
);

/* The rows of the European Union (E4, from market year 1999) contain its members of today. A member with
figures of its own beside them would be counted twice in a world total. */
SELECT
  member.commodity_code,
  member.country_code,
  member.market_year
FROM @this_model AS member
SEMI JOIN @this_model AS whole
  ON whole.country_code = 'E4'
  AND whole.commodity_code = member.commodity_code
  AND whole.market_year = member.market_year
  AND whole.total_supply > 0
WHERE
  member.country_code IN (
    'AU',
    'BE',
    'BU',
    'CY',
    'DA',
    'EI',
    'EN',
    'EZ',
    'FI',
    'FR',
    'GM',
    'GR',
    'HR',
    'HU',
    'IT',
    'LG',
    'LH',
    'LO',
    'LU',
    'MT',
    'NL',
    'PL',
    'PO',
    'RO',
    'SI',
    'SP',
    'SW'
  )
  AND member.total_supply > 0
