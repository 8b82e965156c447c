"""The living part: the user actor's pure rules, and the host that performs their effects."""

from roost.loading import later, without
from roost.own_packages import prefer_own

# Where Ray was started by its own command, it puts other folders first.
prefer_own()

# Ray imports them at its top, for parts that are not used here: 0.2 s and 10 MB for each process.
later("jsonschema", "requests", "yaml")

# It would load `rich` for tracebacks in colour, which nothing writes here: 0.13 s and 7 MB for each process.
with without("rich"):
    import structlog  # noqa: F401 -- the first import of it in a role's process
