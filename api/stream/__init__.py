"""WebSocket streams: rules, sockets, registry and presence subscriptions."""
