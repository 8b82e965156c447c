"""WebSocket streams: their rules, their sockets, and what they subscribe to."""
