-- One place per distinct trimmed (country, state, city, postal code): a postal code alone is no key,
-- several cities share one. chr(31) keeps ('a', 'bc') and ('ab', 'c') apart.
WITH places AS (
  SELECT DISTINCT
    nullif(trim(country), '') AS country,
    nullif(trim(state), '') AS state,
    nullif(trim(city), '') AS city,
    nullif(trim(postal_code), '') AS postal_code
  FROM raw.customers
),
present AS (
  SELECT
    md5(concat(
      coalesce(country, ''), chr(31), coalesce(state, ''), chr(31),
      coalesce(city, ''), chr(31), coalesce(postal_code, '')
    )) AS location_key,
    country,
    state,
    city,
    postal_code
  FROM places
)
SELECT
  cast(location_key AS string) AS location_key,
  cast(country AS string) AS country,
  cast(state AS string) AS state,
  cast(city AS string) AS city,
  cast(postal_code AS string) AS postal_code,
  cast(true AS boolean) AS is_current
FROM present
UNION ALL
SELECT
  gone.location_key,
  gone.country,
  gone.state,
  gone.city,
  gone.postal_code,
  cast(false AS boolean) AS is_current
FROM star.dim_locations gone
LEFT ANTI JOIN present ON present.location_key = gone.location_key
