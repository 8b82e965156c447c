"""The front door: the HTTP routes, the WebSocket session and the gateway that serves them."""
