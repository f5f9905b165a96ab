"""Write a run down as one plain record that another program can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galamsey.models import fingerprint
from galamsey.prompts import DESCRIPTION
from galamsey.refine import METHOD
from galamsey.scenes import NO_END
from galamsey.wording import provenance, verdict

if TYPE_CHECKING:
    from galamsey.geo import Point
    from galamsey.refine import Refined
    from galamsey.sites import Site
    from galamsey.state import ModelState, Run


def run_record(run: Run) -> dict[str, Any]:
    """Return a run as JSON-ready values.

    Keys: ``point`` (degrees), ``own_file`` (its name), ``verdict``, ``backend``, ``model``, ``model_files``
    (where they came from, ``sha256`` of each and of the list of all, as ``sha256sum`` writes it), ``period`` (days that
    were asked for, ``until`` None for no end), ``scene`` (id, acquired UTC, clouds, the scenes it was joined from,
    the days of a median), ``chip`` (EPSG, 0 or less for a file without one; origin in metres, size), ``boxes``
    (xyxy, normalised, y down; None when the answer was unreadable), ``sites`` (outline in degrees, ``box_area_ha``,
    ``disturbed_ha`` with its polygons in metres, token score), ``box_area_ha`` (union), ``disturbed`` (hectares
    with their range and method), ``context`` (nearest features of own layers, by site), ``answer`` and ``prompts``
    to the letter, ``decision_margin`` (by how much the token that decided between boxes and none led, 0-1),
    ``description``, ``ms`` by stage, ``bytes_read`` and ``least_bytes`` of the bands, ``provenance``. What is not
    known is None.
    """
    said = verdict(run)
    plan = run.model.plan if run.model else None
    return {
        "point": _lonlat(run.request.point),
        "own_file": run.request.own.image.title if run.request.own else None,
        "stage": run.stage.name.lower(),
        "verdict": {"tone": said.tone, "line": said.line, "detail": said.detail},
        "backend": plan.device if plan else None,
        "model": run.model.model.id if run.model else None,
        "period": {
            "since": run.request.period.since.isoformat(),
            "until": None if run.request.period.until == NO_END else run.request.period.until.isoformat(),
        },
        "model_files": _model_files(run.model),
        "scene": _scene(run),
        "chip": None
        if run.grid is None
        else {"epsg": run.grid.epsg, "origin": list(run.grid.origin), "size": run.grid.width, "gsd_m": run.grid.gsd_m},
        "boxes": None if run.found is None else [list(site.box) for site in run.found.sites],
        "sites": [] if run.found is None else [_site(site, run) for site in run.found.sites],
        "decision_margin": None if run.found is None else run.found.parsed.margin,
        "box_area_ha": None if run.found is None else run.found.union_ha,
        "disturbed": _disturbed(run.found.refined if run.found else None),
        "context": [[dict(near.__dict__) for near in nears] for nears in run.context],
        "answer": run.found.text if run.found else run.unreadable.text if run.unreadable else None,
        "prompts": {
            "sensitivity": run.request.sensitivity.key,
            "boxes": run.request.sensitivity.prompt,
            "description": DESCRIPTION if run.request.describe else None,
        },
        "description": run.description or None,
        "ms": dict(run.timings_ms),
        "bytes_read": run.composed.bytes_read if run.composed else None,
        "least_bytes": run.composed.least_bytes if run.composed else None,
        "provenance": [list(row) for row in provenance(run)],
    }


def _model_files(model: ModelState | None) -> dict[str, Any] | None:
    if model is None or not model.files:
        return None
    return {
        "source": model.model.base_url,
        "revision": model.revision or None,
        "dtype": model.plan.dtype if model.plan else None,
        "sha256": fingerprint(model.files),
        "files": dict(model.files),
    }


def _lonlat(point: Point | None) -> dict[str, float] | None:
    return None if point is None else {"lon": point.lon, "lat": point.lat}


def _scene(run: Run) -> dict[str, Any] | None:
    if run.scene is None:
        return None
    scene = run.scene.scene
    return {
        "id": scene.id,
        "acquired": scene.acquired.isoformat(),
        "generated": scene.generated,
        "cloud_percent": scene.cloud_percent,
        "chip_cloud_percent": run.scene.chip_cloud_percent,
        "joined_from": [one.id for one in run.scene.scenes],
        "median_of": [day.isoformat() for day in run.scene.median_of],
    }


def _disturbed(refined: Refined | None) -> dict[str, Any] | None:
    if refined is None:
        return None
    return {
        "area_ha": refined.area_ha,
        "low_ha": refined.low_ha,
        "high_ha": refined.high_ha,
        "ndvi_below": refined.ndvi_below,
        "hidden_percent": refined.hidden_percent,
        "method": METHOD,
    }


def _site(site: Site, run: Run) -> dict[str, Any]:
    refined = run.found.refined if run.found else None
    own = next((one for one in refined.sites if one.number == site.number), None) if refined else None
    return {
        "box": list(site.box),
        "disturbed_ha": None if own is None else own.area_ha,
        "disturbed": None if own is None else [[list(map(list, ring)) for ring in rings] for rings in own.polygons],
        "number": site.number,
        "label": site.label,
        "box_area_ha": site.box_area_ha,
        "token_score": site.token_score,
        "centre": _lonlat(site.centre),
        "ring": [list(point) for point in site.ring],
    }
