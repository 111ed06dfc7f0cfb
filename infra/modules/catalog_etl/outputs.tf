output "job_name" {
  description = "The Glue job: RETAIL_GLUE_JOB."
  value       = aws_glue_job.this.name
}

output "workgroup" {
  description = "The workgroup of Athena: RETAIL_ATHENA_WORKGROUP."
  value       = aws_athena_workgroup.this.name
}

output "database_names" {
  description = "The Glue databases, by layer."
  value       = { for layer, database in aws_glue_catalog_database.layer : layer => database.name }
}

output "reading_policy_json" {
  description = "What whoever asks the lake may, as a policy of IAM: the catalog and the files to read, and the workgroup of Athena."
  value       = data.aws_iam_policy_document.reading.json
}
