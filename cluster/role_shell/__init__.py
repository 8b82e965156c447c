"""The shell around every role: a fence, its metrics, and the closing of its connections."""
