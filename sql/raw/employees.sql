SELECT
  e.employeeNumber AS employee_number,
  e.lastName AS last_name,
  e.firstName AS first_name,
  e.extension AS extension,
  e.email AS email,
  e.officeCode AS office_code,
  e.reportsTo AS reports_to,
  e.jobTitle AS job_title
FROM employees e
