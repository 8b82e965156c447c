"""Virtual users and their devices."""
