"""The running system: settings, placement, the coordinator, routers, pushers and the embedded servers."""

import actors  # noqa: F401 -- loads the logger, the way that a role does
