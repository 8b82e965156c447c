"""The routes of the operators' dashboard, one file for each of its views."""
