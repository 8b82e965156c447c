"""Calls behind the operators' dashboard."""
