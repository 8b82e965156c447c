"""The Kafka consumers: routers for messages, pushers for wake-ups."""
