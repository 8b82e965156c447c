"""Storage: ports with their guarantees, and one adapter for each server."""
