"""DSN: a shared code to classify by, private ones for what is a domain's."""
