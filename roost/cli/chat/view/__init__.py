"""What the chat that fills the terminal shows, and does, without a terminal: it reads the client alone.

``desk`` is the whole of it: the conversations, the one that is open, and what is said above them.
"""
