"""Live browse events around the Lambda: its bundle."""
