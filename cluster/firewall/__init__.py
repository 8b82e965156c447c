"""Who may talk to whom, in one table, and the forms in which firewalls take it."""
