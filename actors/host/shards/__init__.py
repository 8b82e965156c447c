"""The shards that are open at a host, and how far each is handled and stored."""
