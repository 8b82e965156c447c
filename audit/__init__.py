"""Checks of what Roost is made of: vulnerabilities, licences, the bill of materials, secrets in the tree."""
