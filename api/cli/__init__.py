"""Operator's commands that need the API's rules for accounts."""
