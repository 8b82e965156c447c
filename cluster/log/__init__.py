"""The lifecycle of the log: its topics and numbers, created, recreated, grown and trimmed."""
