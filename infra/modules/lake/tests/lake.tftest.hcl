mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days = 90
  force_destroy      = false
}

run "each_kind_of_data_has_its_bucket" {
  command = apply

  assert {
    condition     = toset(keys(output.buckets)) == toset(["lake", "pipes", "athena", "artifacts", "logs"])
    error_message = "five buckets are promised"
  }
  assert {
    condition     = length(distinct([for bucket in output.buckets : bucket.arn])) == 5
    error_message = "each is one of its own"
  }
}

run "how_long_each_is_kept_is_decided" {
  command = plan

  assert {
    condition     = local.buckets.pipes.expire_days[""] == 1 && local.buckets.athena.expire_days[""] == 7
    error_message = "what Dagster and the job tell each other is of no use after a day, and answers after a week"
  }
  assert {
    condition     = !contains(keys(local.buckets.lake.expire_days), "") && !contains(keys(local.buckets.lake.expire_days), "lake/")
    error_message = "nothing but `retail vacuum` deletes from the lake"
  }
}

run "the_longest_name_fits" {
  command = plan

  variables {
    name = "a-sixteen-letters-local"
  }
}

run "what_arrives_rings_and_only_our_bucket_may" {
  command = apply

  assert {
    condition     = toset(keys(output.arrivals)) == toset(["delivered", "landing"])
    error_message = "both places where others lay objects down have to ring"
  }
  assert {
    condition = alltrue([
      for policy in data.aws_iam_policy_document.arrivals : toset([for condition in policy.statement[0].condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"])
    ])
    error_message = "anybody's bucket could ring"
  }
}
