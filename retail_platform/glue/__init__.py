"""AWS Glue: the job that runs an engine there, what it is made of, and the runner that starts it."""
