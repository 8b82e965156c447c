"""The users at a host: their inboxes, and the look-ups and effects of their actors."""
