mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod"
  monthly_budget_usd = 500
  alarm_emails       = ["data@example.com"]
  protected          = true
}

run "what_is_stored_is_under_a_key_that_rotates" {
  command = apply

  assert {
    condition     = aws_kms_key.data.enable_key_rotation && aws_kms_key.data.deletion_window_in_days == 30
    error_message = "the key has to rotate, and a protected one waits for 30 days"
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.data.arn
    error_message = "alarms have to be encrypted by the key"
  }
  assert {
    condition     = output.kms_key_arn == aws_kms_key.data.arn && output.alarm_topic_arn == aws_sns_topic.alarms.arn
    error_message = "the outputs have to be the key and the topic"
  }
}

run "a_key_that_is_not_protected_goes_sooner" {
  command = plan

  variables {
    protected = false
  }

  assert {
    condition     = aws_kms_key.data.deletion_window_in_days == 7
    error_message = "7 days are the least that AWS takes"
  }
}

run "only_this_account_may_tell_of_alarms" {
  command = plan

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.alarms.statement : anytrue([
        for condition in statement.condition : condition.variable == "aws:SourceAccount" && contains(condition.values, "123456789012")
      ])
    ])
    error_message = "services of another account could publish to the topic"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.key.statement :
      statement.sid == "Account" || length(statement.condition) > 0
    ])
    error_message = "a service may use the key for whatever it likes"
  }
}

run "the_budget_tells_before_and_after" {
  command = apply

  assert {
    condition = (
      aws_budgets_budget.month.limit_amount == "500" &&
      toset([for told in aws_budgets_budget.month.notification : told.notification_type]) == toset(["ACTUAL", "FORECASTED"]) &&
      alltrue([for told in aws_budgets_budget.month.notification : contains(told.subscriber_sns_topic_arns, aws_sns_topic.alarms.arn)])
    )
    error_message = "the budget has to tell the topic of what was spent and of what is foreseen"
  }
  assert {
    condition     = aws_sns_topic_subscription.alarms["data@example.com"].protocol == "email"
    error_message = "who is named has to be told"
  }
}

run "a_budget_of_nothing_is_refused" {
  command         = plan
  expect_failures = [var.monthly_budget_usd]

  variables {
    monthly_budget_usd = 0
  }
}

run "what_is_no_address_is_refused" {
  command         = plan
  expect_failures = [var.alarm_emails]

  variables {
    alarm_emails = ["data at example.com"]
  }
}

run "a_name_that_is_too_long_is_refused" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "a-name-that-is-much-too-long"
  }
}
