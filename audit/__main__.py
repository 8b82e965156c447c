"""What Roost is made of, checked: ``python -m audit``, or ``make audit``.

Each check ends as *ok*, *found* (something is wrong) or *not done* (what it needs cannot be reached, and
nothing is known). Exit codes: 0 all ok, 1 something found, 3 something not done.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audit.licences import refused
from audit.npm_packages import LOCK as NPM_LOCK
from audit.npm_packages import shipped_by

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".audit"
TOOLS = PLACE / "tools" / "bin"
RUNTIME = PLACE / "runtime"
LOCK = ROOT / "requirements.lock"
SBOM = ROOT / "sbom.json"

_URL = "Basic Auth Credentials"
ALLOWED = {
    ("deploy/kuberay/settings.yaml", _URL),
    ("tests/unit/test_settings.py", _URL),
    ("tests/unit/test_cleartext_to_servers.py", _URL),
}
"""What looks like a secret and is none: places to fill in, and addresses that tests are made of."""

PLANTED = "aws_key = 'AKIA" + "QWERTYUIOPASDFGH'\n"
"""What looks like a key of AWS: a scan that does not find it finds nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended, and the sentences about it."""

    state: Literal["ok", "found", "not done"]
    lines: Sequence[str]


def run(*command: str | Path, within: float = 300) -> "subprocess.CompletedProcess[str]":
    """Run a tool in the project's folder."""
    return subprocess.run(
        [str(each) for each in command], cwd=ROOT, capture_output=True, text=True, timeout=within, check=False
    )


def vulnerabilities() -> Outcome:
    """Look for known vulnerabilities of the locked versions; what no database knows does not pass."""
    done = run(
        TOOLS / "pip-audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off",
        "--timeout", "15", "--format", "json", "-r", LOCK,
    )  # fmt: skip
    try:
        asked: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return Outcome("not done", [f"the database of vulnerabilities cannot be asked: {last[:300]}"])
    return judged(asked)


def judged(asked: Sequence[Mapping[str, Any]]) -> Outcome:
    """Judge pip-audit's answer about each package."""
    found = [
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions'])}"
        for each in asked
        for hole in each.get("vulns", ())
    ]
    unknown = [str(each["name"]) for each in asked if "skip_reason" in each]
    if unknown or not asked:
        found.append(
            f"{len(unknown)} of {len(asked)} packages are not known to the database that can be reached, "
            f"so nothing is known of them: {', '.join(unknown[:5])} ..."
        )
        return Outcome("not done", found)
    return Outcome("found" if found else "ok", found or [f"{len(asked)} packages, none with a known one"])


def bill_of_materials() -> Outcome:
    """Write what is installed to run Roost, and what the web client is built of, in CycloneDX's form."""
    done = run(
        TOOLS / "cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--output-reproducible",
        "--of", "JSON", "-o", SBOM, RUNTIME / "bin" / "python",
    )  # fmt: skip
    if done.returncode:
        return Outcome("not done", [done.stderr[-300:]])
    bill, web = json.loads(SBOM.read_text()), shipped_by(ROOT)
    bill["components"] += web
    SBOM.write_text(json.dumps(bill, indent=2) + "\n")
    return Outcome("ok", [f"{len(bill['components'])} components in {SBOM.name}, {len(web)} of them of npm"])


def licences() -> Outcome:
    """Compare every licence with those that are refused; one that is not known is refused."""
    lines = refused(_components())
    return Outcome("found" if lines else "ok", lines or ["none that is refused"])


def secrets() -> Outcome:
    """Look for keys and passwords in what git keeps, and see that the scan finds a planted one."""
    planted = PLACE / "planted.py"
    planted.write_text(PLANTED)
    scanner = (TOOLS / "detect-secrets", "scan")
    quiet = [
        word
        for name in ("Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector")
        for word in ("--disable-plugin", name)
    ]  # digests and the word "password" are everywhere in here
    try:
        trial = run(*scanner, *quiet, "--all-files", planted)
        if not json.loads(trial.stdout)["results"]:
            return Outcome("not done", ["the scan does not find a planted key"])
        results: dict[str, Any] = json.loads(run(*scanner, *quiet).stdout)["results"]
    finally:
        planted.unlink()
    lines = [
        f"{path}:{each['line_number']}: {each['type']}"
        for path, found in results.items()
        for each in found
        if (path, each["type"]) not in ALLOWED
    ]
    return Outcome("found" if lines else "ok", lines or ["none"])


def go_modules() -> Outcome:
    """Verify the modules of the embedded broker, and ask for vulnerabilities where Go's tool is installed."""
    go, check = shutil.which("go"), shutil.which("govulncheck")
    if check is None:
        return Outcome(
            "ok", ["go.sum pins the broker's modules; govulncheck is not installed, so nothing more is known"]
        )
    done = run(check, "-C", "broker", "./...")
    return Outcome("ok" if done.returncode == 0 else "found", [done.stdout[-600:] or f"{go}: none"])


def npm_packages() -> Outcome:
    """Ask npm for vulnerabilities of what the web client is built of, where npm is installed."""
    npm = shutil.which("npm")
    if npm is None:
        return Outcome("not done", ["npm is not installed, so nothing is known"])
    done = run(
        npm, "audit", "--omit=dev", "--package-lock-only", "--json", "--prefix", (ROOT / NPM_LOCK).parent
    )
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = {"error": {"summary": done.stderr}}
    return judged_by_npm(told)


def judged_by_npm(told: Mapping[str, Any]) -> Outcome:
    """Judge what ``npm audit --json`` says."""
    if "vulnerabilities" not in told:
        error = told.get("error") or {}
        said = str(error.get("summary") or told.get("message") or "npm said nothing").strip()
        return Outcome("not done", [f"npm's database cannot be asked: {said[:300]}"])
    lines = [f"{name}: {each['severity']}" for name, each in sorted(told["vulnerabilities"].items())]
    return Outcome("found" if lines else "ok", lines or ["none with a known one"])


def _components() -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = json.loads(SBOM.read_text())["components"]
    return components


CHECKS: dict[str, Callable[[], Outcome]] = {
    "vulnerabilities": vulnerabilities,
    "bill of materials": bill_of_materials,
    "licences": licences,
    "secrets": secrets,
    "go modules": go_modules,
    "npm packages": npm_packages,
}


def main() -> int:
    """Run every check and say how it ended."""
    states = set()
    for name, check in CHECKS.items():
        outcome = check()
        states.add(outcome.state)
        sys.stdout.write(f"{outcome.state:<9} {name}: {outcome.lines[0]}\n")
        sys.stdout.writelines(f"{'':<9} {line}\n" for line in outcome.lines[1:])
        sys.stdout.flush()
    if "found" in states:
        return 1
    return 3 if "not done" in states else 0


if __name__ == "__main__":
    sys.exit(main())
