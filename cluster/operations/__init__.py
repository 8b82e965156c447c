"""How many roles there are and on which machine: requests of operators, rollouts, the balance."""
