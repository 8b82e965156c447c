"""How it runs: settings, placement, the coordinator, routers, pushers and the embedded servers."""
