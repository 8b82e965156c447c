"""The client API: HTTP routes, WebSocket streams, and the gateway that serves them."""
