"""The control plane: the coordinator, and every rule about roles, machines, shards and the log."""
