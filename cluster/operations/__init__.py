"""Number and placement of roles: requests of operators, rollouts, the balance between machines."""
