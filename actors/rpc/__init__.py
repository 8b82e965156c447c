"""How roles talk: links between processes, and the messages on them."""
