# The site sends events, asks for recommendations, and reads the lake as all who ask it do; it writes to no table,
# and knows no other database than that of the orders.
data "aws_iam_policy_document" "work" {
  source_policy_documents = [var.reading_policy_json]

  statement {
    sid       = "Send"
    actions   = ["kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "Recommend"
    actions   = ["lambda:InvokeFunction"]
    resources = [var.recommender_alias_arn]
  }

  dynamic "statement" {
    for_each = var.orders_secret_arn == null ? [] : [var.orders_secret_arn]

    content {
      sid       = "Orders"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value]
    }
  }
}
