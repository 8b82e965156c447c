"""Communication between roles: links between processes, and the messages on them."""
