SELECT
  cast(e.employee_number AS int) AS employee_number,
  cast(e.last_name AS string) AS last_name,
  cast(e.first_name AS string) AS first_name,
  cast(e.email AS string) AS email,
  cast(e.job_title AS string) AS job_title,
  cast(e.reports_to AS int) AS reports_to,
  cast(e.office_code AS string) AS office_code,
  cast(trim(o.city) AS string) AS office_city,
  cast(trim(o.country) AS string) AS office_country,
  cast(o.territory AS string) AS territory,
  cast(true AS boolean) AS is_current
FROM raw.employees e
LEFT JOIN raw.offices o ON o.office_code = e.office_code
UNION ALL
SELECT
  gone.employee_number,
  gone.last_name,
  gone.first_name,
  gone.email,
  gone.job_title,
  gone.reports_to,
  gone.office_code,
  gone.office_city,
  gone.office_country,
  gone.territory,
  cast(false AS boolean) AS is_current
FROM star.dim_employees gone
LEFT ANTI JOIN raw.employees e ON e.employee_number = gone.employee_number
