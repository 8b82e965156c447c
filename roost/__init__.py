"""The shared vocabulary (ids, wire, codes, errors), the client's cryptography and SDK, the CLI."""
