"""The links of a host to routers and gateways: what comes over them, and what both are told."""
