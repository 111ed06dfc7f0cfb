-- What came of each event's recommendations: products of them, new to the visit, that the visitor looked
-- at later in it, and that the customer bought within two weeks. An order line counts for the last event
-- before it that recommended its product. Orders have a day and no time, so that one of the same day
-- counts as later.
WITH shown AS (
  SELECT e.event_id, e.event_date, e.occurred_at, e.session_id, e.customer_number, i.product_code
  FROM events.recommendation_events e
  JOIN events.recommended_items i ON i.event_id = e.event_id AND i.event_date = e.event_date
  LEFT ANTI JOIN events.browsed_items seen
    ON seen.event_id = i.event_id AND seen.event_date = i.event_date AND seen.product_code = i.product_code
),
clicks AS (
  SELECT DISTINCT s.event_id, s.product_code
  FROM shown s
  JOIN events.recommendation_events later
    ON later.session_id = s.session_id AND later.occurred_at > s.occurred_at
  JOIN events.browsed_items b
    ON b.event_id = later.event_id AND b.event_date = later.event_date AND b.product_code = s.product_code
),
purchases AS (
  SELECT
    s.event_id,
    s.product_code,
    f.order_amount,
    row_number() OVER (
      PARTITION BY f.order_number, f.order_line_number ORDER BY s.occurred_at DESC, s.event_id
    ) AS place
  FROM shown s
  JOIN star.fact_orders f
    ON f.customer_number = s.customer_number AND f.product_code = s.product_code
  WHERE f.is_sale AND f.order_date >= s.event_date AND f.order_date <= CAST(date_add(s.event_date, 14) AS date)
),
clicked AS (
  SELECT event_id, count(product_code) AS products FROM clicks GROUP BY event_id
),
bought AS (
  SELECT event_id, count(DISTINCT product_code) AS products, sum(order_amount) AS revenue
  FROM purchases
  WHERE place = 1
  GROUP BY event_id
)
SELECT
  e.event_id,
  e.event_date,
  e.occurred_at,
  e.session_id,
  e.customer_number,
  e.strategy,
  e.model_version,
  e.degraded,
  e.recommended,
  CAST(coalesce(c.products, 0) AS int) AS clicked,
  CAST(coalesce(b.products, 0) AS int) AS bought,
  CAST(coalesce(b.revenue, 0) AS decimal(20, 2)) AS revenue
FROM events.recommendation_events e
LEFT JOIN clicked c ON c.event_id = e.event_id
LEFT JOIN bought b ON b.event_id = e.event_id
