"""What breaks in people's hands: hostile clients, odd environments; one file for each kind."""
