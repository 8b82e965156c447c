"""What lasts: the ports with their guarantees, and one adapter for each server."""
