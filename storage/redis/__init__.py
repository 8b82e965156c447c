"""Redis: the adapter of the cache, one Lua script for each operation of more than one command, inspection."""
