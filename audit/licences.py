"""Which licences a part of Roost may have."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

REFUSED = re.compile(
    r"\bA?GPL|GNU (Affero )?General Public|SSPL|Server Side Public|BUSL|Business Source|Commons Clause"
    r"|NonCommercial|-NC\b|Proprietary|Elastic-|Elastic License",
    re.IGNORECASE,
)
"""Those that reach over to what is linked with them, or that forbid uses. LGPL and MPL do neither."""

APART = {"secantusdb": "GPL-2.0: an optional extra, run as a process of its own and never imported"}
"""Parts that may have a refused licence, and why."""

KNOWN = {
    "aiofastnet": "MIT",
    "protobuf": "BSD-3-Clause",
    "ray": "Apache-2.0",
}
"""Licences that packages have in a file only, as read there."""


def refused(components: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each component of a bill of materials whose licence is refused or not known."""
    lines = []
    for each in components:
        name = str(each["name"]).lower()
        said = " and ".join(_licences(each)) or KNOWN.get(name, "")
        if name in APART:
            continue
        if not said:
            lines.append(f"{name}: its licence is not known; read it, and name it in audit/licences.py")
        elif REFUSED.search(said):
            lines.append(f"{name}: {said}")
    return lines


def _licences(component: Mapping[str, Any]) -> list[str]:
    found = []
    for each in component.get("licenses", ()):
        licence = each.get("license", {})
        found.append(str(each.get("expression") or licence.get("id") or licence.get("name") or ""))
    return [each for each in found if each]
