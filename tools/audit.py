"""Ask npm and PyPI for known weaknesses of everything that is pinned, what the page itself loads included.

    python -m tools.audit

Ends with 0 only if every package was looked up and none has a known weakness. A service that cannot be asked is an
error: both programs call a package that they could not look up clean.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tools.console import SetupError, exit_status, say
from tools.vendor_lock import read_lock

ROOT: Final = Path(__file__).resolve().parents[1]
UNREACHABLE: Final = "nothing is known about {what}: {service} could not be asked ({why}). Try again with a network."
PINNED: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
WHEEL: Final = re.compile(r"/(?P<name>[A-Za-z0-9_]+)-(?P<version>[^-/]+)-[^/]+\.whl$")


def pinned_packages(root: Path) -> list[str]:
    """Return what the Python environments and the page are made of, as ``NAME==VERSION``."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / "requirements").glob("*.txt"))]
    lines = [line for text in texts for line in text.splitlines()]
    found = {f"{match['name']}=={match['version']}" for line in lines if (match := PINNED.match(line))}
    return sorted(found | shipped_packages(root))


def shipped_packages(root: Path) -> set[str]:
    """Return the Python packages whose wheels the page itself loads."""
    wheels = filter(None, map(WHEEL.search, read_lock(root)))
    return {f"{wheel['name'].replace('_', '-')}=={wheel['version']}" for wheel in wheels}


def npm_findings(report: dict[str, Any]) -> list[str]:
    """Return a line for each weakness that ``npm audit --json`` reports; raises SetupError where it could not ask."""
    if "auditReportVersion" not in report:
        why = str(report.get("message") or report.get("error") or "no report")
        raise SetupError(UNREACHABLE.format(what="the npm packages", service="npm's registry", why=why[:200]))
    return [
        f"npm {name}: {one.get('severity', 'unknown')}, {one.get('range', '')}"
        for name, one in sorted(report["vulnerabilities"].items())
    ]


def pip_findings(report: dict[str, Any], asked: list[str]) -> list[str]:
    """Return a line for each weakness that pip-audit reports; raises SetupError unless it looked every package up."""
    known = {one["name"].lower().replace("_", "-"): one for one in report["dependencies"]}
    for package in asked:
        name = package.partition("==")[0].lower().replace("_", "-")
        why = known.get(name, {"skip_reason": "it is not in the report"}).get("skip_reason")
        if why:
            raise SetupError(UNREACHABLE.format(what=package, service="PyPI", why=str(why)[:200]))
    return [
        f"PyPI {one['name']} {one['version']}: {weakness['id']}, mended in {' '.join(weakness['fix_versions']) or '-'}"
        for one in report["dependencies"]
        for weakness in one.get("vulns", ())
    ]


def _report(command: list[str], service: str, what: str) -> dict[str, Any]:
    """Run a program that ends with 1 both for weaknesses and for failures, and return the JSON that it prints."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        lines = done.stderr.strip().splitlines() or [f"{command[0]} said nothing"]
        raise SetupError(UNREACHABLE.format(what=what, service=service, why=lines[-1][:200])) from error
    return dict(report)


def audit() -> None:
    """Ask both registries; raises SetupError for weaknesses, and where one could not be asked."""
    packages = pinned_packages(ROOT)
    problems: list[str] = []
    found: list[str] = []
    for ask in (_ask_npm, lambda: _ask_pypi(packages)):
        try:
            found += ask()
        except SetupError as error:
            problems.append(str(error))
    for line in found:
        say(line)
    if found:
        problems.insert(0, f"{len(found)} known weaknesses, listed above: raise the versions")
    if problems:
        raise SetupError("\nerror: ".join(problems))
    say(f"no known weakness in the npm packages and in {len(packages)} Python packages")


def _ask_npm() -> list[str]:
    return npm_findings(_report(["npm", "audit", "--json"], "npm's registry", "the npm packages"))


def _ask_pypi(packages: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text("\n".join(packages) + "\n", encoding="utf-8")
        program = str(Path(sys.executable).with_name("pip-audit"))
        command = [program, "--disable-pip", "--no-deps", "--progress-spinner", "off", "-f", "json", "-r", str(path)]
        return pip_findings(_report(command, "PyPI", "the Python packages"), packages)


if __name__ == "__main__":
    sys.exit(exit_status(audit))
