"""What the platform costs on AWS in a month, before anybody pays it."""
