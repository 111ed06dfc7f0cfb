-- title: What came of recommendations
-- description: How often visitors followed what they were recommended, and what customers paid for it, by what a visitor was known by and by model.
-- measure: hit_percent
-- parameter: country string - Only visitors of this country
-- parameter: date_from date - Only events from this day on
-- parameter: date_to date - Only events up to and including this day
SELECT
  o.strategy,
  coalesce(o.model_version, 'none') AS model_version,
  count(*) AS events,
  CAST(sum(o.clicked) AS bigint) AS clicked,
  CAST(sum(o.bought) AS bigint) AS bought,
  CAST(count_if(o.clicked + o.bought > 0) AS double) / CAST(count(*) AS double) * 100 AS hit_percent,
  CAST(sum(o.revenue) AS decimal(20, 2)) AS revenue
FROM recommendation_outcomes o
JOIN recommendation_events e ON e.event_id = o.event_id
WHERE (:country IS NULL OR e.country = :country)
  AND (:date_from IS NULL OR o.event_date >= :date_from)
  AND (:date_to IS NULL OR o.event_date <= :date_to)
GROUP BY o.strategy, coalesce(o.model_version, 'none')
ORDER BY events DESC, o.strategy, model_version
