"""Recommendations for live browse events, on AWS Lambda.

The core knows no AWS: `events` are decoded, `model` answers, `records` are encoded. Around it stand
`store`, which reads the vector store, `inference`, which answers also where that is away, and the
three entry points: `firehose`, `kinesis` and `http`. Nothing of `retail_platform` is imported.
"""
