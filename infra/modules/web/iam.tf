# The site sends events and asks for recommendations; it reads no lake and no database.
data "aws_iam_policy_document" "work" {
  statement {
    sid       = "Send"
    actions   = ["kinesis:PutRecord", "kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "Ask"
    actions   = ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
    resources = [var.recommender_alias_arn]
  }
}
