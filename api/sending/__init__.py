"""The accept path: a send is admitted, checked, written to the log, numbered, and answered."""
