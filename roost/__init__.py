"""What others import: identifiers, wire frames, error codes, cryptography and the client SDK."""
