"""Reading a mailbox: the store and what is still in memory at the host."""
