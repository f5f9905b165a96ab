"""What registries answered, recorded, and what must come of it: a package that was not looked up is never clean."""

import pytest

from tools import audit
from tools.console import SetupError

CLEAN_NPM = {"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"vulnerabilities": {"total": 0}}}
WEAK_NPM = {**CLEAN_NPM, "vulnerabilities": {"lodash": {"severity": "high", "range": "<=4.17.20", "via": []}}}
REFUSED_NPM = {"message": "405 Method Not Allowed - POST https://registry.npmjs.org/-/npm/v1/security/advisories/bulk"}
CLEAN_PIP = {"dependencies": [{"name": "numpy", "version": "2.4.3", "vulns": []}], "fixes": []}
SKIPPED_PIP = {
    "dependencies": [{"name": "numpy", "skip_reason": "Dependency not found on PyPI and could not be audited"}],
    "fixes": [],
}
WEAK_PIP = {
    "dependencies": [
        {"name": "pillow", "version": "9.0.0", "vulns": [{"id": "PYSEC-2022-9", "fix_versions": ["9.0.1"]}]}
    ],
    "fixes": [],
}


def test_clean_reports_find_nothing():
    assert audit.npm_findings(CLEAN_NPM) == []
    assert audit.pip_findings(CLEAN_PIP, ["numpy==2.4.3"]) == []


def test_weaknesses_are_named_with_what_mends_them():
    assert audit.npm_findings(WEAK_NPM) == ["npm lodash: high, <=4.17.20"]
    assert audit.pip_findings(WEAK_PIP, ["Pillow==9.0.0"]) == ["PyPI pillow 9.0.0: PYSEC-2022-9, mended in 9.0.1"]


def test_a_registry_that_does_not_answer_is_no_clean_bill():
    with pytest.raises(SetupError, match=r"nothing is known about the npm packages: .* \(405 Method Not Allowed"):
        audit.npm_findings(REFUSED_NPM)
    with pytest.raises(SetupError, match=r"nothing is known about numpy==2.4.3: .* \(Dependency not found"):
        audit.pip_findings(SKIPPED_PIP, ["numpy==2.4.3"])
    with pytest.raises(SetupError, match="it is not in the report"):
        audit.pip_findings(CLEAN_PIP, ["numpy==2.4.3", "utm==0.9.0"])


@pytest.mark.parametrize("words", ["echo no json; exit 1", "echo the network is down >&2; exit 1", "exit 0"])
def test_a_program_that_fails_without_a_report_is_an_error(words):
    with pytest.raises(SetupError, match="PyPI could not be asked"):
        audit._report(["sh", "-c", words], "PyPI", "the Python packages")


def test_all_that_is_pinned_and_all_that_the_page_loads_is_asked_about():
    packages = audit.pinned_packages(audit.ROOT)

    assert {"utm==0.9.0", "numpy==2.4.3", "shapely==2.1.2", "pillow==12.2.0", "reportlab==5.1.0"} <= set(packages)
    assert any(package.startswith("pytest==") for package in packages)
    assert packages == sorted(set(packages))
