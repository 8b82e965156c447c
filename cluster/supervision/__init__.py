"""The living roles: a supervisor for each, the spares, and which of them answer."""
