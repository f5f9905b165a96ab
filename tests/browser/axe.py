"""Ask axe-core, in the page, what a person with a screen reader, low vision or a keyboard alone would stumble over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOURCE = (Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js").read_text()

RUN = """async () => {
  const options = { resultTypes: ["violations"], rules: { "label-content-name-mismatch": { enabled: true } } };
  const { violations } = await axe.run(document, options);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}"""


def violations(page: Page) -> list[str]:
    """Return each broken rule with the elements that break it; all of axe's rules but those it calls experimental."""
    page.evaluate(f"{SOURCE}\n;0")
    found: list[str] = page.evaluate(RUN)
    return found
