"""Connections of clients: uvicorn's protocols with the limits that a public port needs."""
