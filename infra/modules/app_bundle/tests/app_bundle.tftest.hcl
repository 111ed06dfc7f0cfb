mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  path        = "./tests/retail-platform-0.1.0-arm64.zip"
  bucket      = { name = "a-artifacts", arn = "arn:aws:s3:::a-artifacts" }
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
}

run "another_zip_is_another_key" {
  command = plan

  assert {
    condition     = output.bundle.key == "app/${filesha256(var.path)}/retail-platform-0.1.0-arm64.zip"
    error_message = "machines would not see that it changed"
  }
}

run "a_bundle_that_was_not_made_is_refused" {
  command         = plan
  expect_failures = [var.path]

  variables {
    path = "./tests/retail-platform-9.9.9-arm64.zip"
  }
}
