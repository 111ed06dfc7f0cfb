"""Live browse events around the Lambda: its bundle, who sends them, and their way into the lake."""
