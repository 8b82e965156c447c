"""Views of mailboxes: the store together with what is still in memory at the host."""
