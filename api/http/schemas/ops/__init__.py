"""Bodies of the calls of the operators' dashboard."""
