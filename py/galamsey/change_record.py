"""Write change over the years down as GeoJSON that other programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galamsey.evidence import HONESTY
from galamsey.wording_change import METHOD, change_line, change_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galamsey.change import Change, Comparison
    from galamsey.findings import Finding
    from galamsey.series import Series


def change_record(comparison: Comparison, findings: Sequence[Finding], series: Series) -> dict[str, Any]:
    """Return RFC 7946: each site of the two findings, earlier first, with its kind of change and hectares.

    Foreign members: ``dates`` (finding, day, scene, model, result of both), ``totals`` by kind, ``seasons`` (every dry
    season: what its image showed, or why there was none; None where nobody looked).
    """
    days = [finding.acquired for finding in findings]
    return {
        "type": "FeatureCollection",
        "description": f"{HONESTY} {METHOD} {change_notes(comparison)}",
        "result": change_line(comparison),
        "dates": [
            {
                "finding": finding.id,
                "acquired": finding.acquired,
                "scene": finding.run["scene"]["id"],
                "generated": finding.run["scene"]["generated"],
                "model": finding.run["model"],
                "sensitivity": finding.run["prompts"].get("sensitivity"),
                "result": finding.words.line,
            }
            for finding in findings
        ],
        "totals": {
            kind: {"sites": totals.count, "before_ha": totals.before_ha, "after_ha": totals.after_ha}
            for kind, totals in comparison.totals.items()
        },
        "seasons": [
            {
                "season": season.name,
                "finding": moment.finding_id if moment else None,
                "acquired": (moment.day or None) if moment else None,
                "outcome": moment.outcome if moment else None,
                "result": moment.line if moment else None,
                "sites": moment.sites if moment and moment.usable else None,
                "box_area_ha": moment.box_area_ha if moment else None,
                "disturbed_ha": list(moment.disturbed_ha) if moment and moment.disturbed_ha else None,
            }
            for season, moment in series.columns
        ],
        "features": [_feature(change, days, disturbed=comparison.disturbed) for change in comparison.changes],
    }


def _feature(change: Change, days: Sequence[str], *, disturbed: bool) -> dict[str, Any]:
    ring = [list(point) for point in reversed(change.site.ring)]  # counter-clockwise
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]} if ring else None,
        "properties": {
            "number": change.number,
            "kind": "suspected site, box",
            "change": change.kind,
            "before": days[0],
            "after": days[1],
            "before_ha": change.before_ha,
            "after_ha": change.after_ha,
            "hectares": "disturbed ground in the box" if disturbed else "box",
            "iou": change.iou,
        },
    }
