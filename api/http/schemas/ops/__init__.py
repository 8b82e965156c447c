"""Bodies of the calls behind the operators' dashboard."""
