"""The writes of a host: a queue for each kind, between effects and the stores."""
