"""The streams, watches and questions of gateways at a host."""
