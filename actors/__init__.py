"""What is alive: the user actor's pure rules, and the host that performs their effects."""
