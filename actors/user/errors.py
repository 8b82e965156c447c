"""Errors of the rules."""


class InvariantError(AssertionError):
    """Something that always holds does not."""
