"""People's rights over their data, for the operator: what an erased account left, where, and until when."""
