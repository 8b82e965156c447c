"""The asyncio side of a client: performs the effects of the core and reports what came of them."""
