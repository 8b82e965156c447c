"""The life of the log: its topics and numbers, made, remade, grown and trimmed."""
