"""Keep what a run found: write it down as a versioned record, read it back strictly, bring two versions together."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import re
from dataclasses import dataclass, replace
from datetime import datetime
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from PIL import Image

from galamsey.archives import Archive
from galamsey.chips import BOA_OFFSET, CHIP_SIZE, Chip, OffsetRule
from galamsey.composites import Composite
from galamsey.context import Near
from galamsey.detections import ParsedAnswer
from galamsey.drawings import Drawn, confirmed_sites, drawn_sites, drawn_words
from galamsey.errors import ArchiveError, FindingError
from galamsey.geo import Grid, Point, PointXY
from galamsey.ledger import Entry
from galamsey.pipeline import AnswerUnreadable, ChipComposed, Request, SceneChosen, SitesFound
from galamsey.prompts import SENSITIVITIES
from galamsey.records import run_record
from galamsey.refine import Disturbed, Refined
from galamsey.reviews import Review, finding_status, merge_reviews, read_polygons, read_review
from galamsey.scenes import BANDS, CATALOGUES, EARTH_SEARCH, PRACTICE, Scene
from galamsey.sites import Site, site_at
from galamsey.state import EVERY_DATE, KeptWords, Run, Stage
from galamsey.strict import read_json
from galamsey.wording import place_title, provenance, verdict, when_and_cloud, why_this_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT: Final = "galamsey-finding"
VERSION: Final = 1

THUMBNAIL_PX: Final = 64
MAX_RECORD: Final = 5_000_000
"""Characters; an honest record has some thirty thousand."""
MAX_PIXELS: Final = 8_000_000
MAX_BANDS_BYTES: Final = 8_000_000
MAX_SITES: Final = 500
"""As many boxes as an answer may hold."""
ID: Final = re.compile(r"[0-9a-f]{32}")
BAND_ARRAYS: Final = ("dn", "valid", "obscured")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
OUTCOMES: Final = ("suspected", "clean", "unreadable", "no-image")


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """One kept result. What the run found never changes; reviews are added, and it can be deleted and restored."""

    id: str
    kept: str
    """ISO 8601, UTC."""
    outcome: str
    """One of ``OUTCOMES``."""
    words: KeptWords
    run: Mapping[str, Any]
    """As ``records.run_record`` writes it."""
    thumbnail: str = ""
    """PNG as base64."""
    reviews: tuple[Review, ...] = ()
    deleted: str = ""
    """When it was deleted, ISO 8601; empty where it was not."""
    toggled: str = ""
    """When it was deleted or restored last: the later word wins."""
    revision: int = 0
    """How often it was written; 0 before the first time."""

    @property
    def point(self) -> Point | None:
        """Where it is; None for a file without a place."""
        point = self.run["point"]
        return None if point is None else Point(float(point["lon"]), float(point["lat"]))

    @property
    def acquired(self) -> str:
        """Day of the image, ISO; empty where there is none."""
        scene = self.run["scene"]
        return "" if scene is None else str(scene["acquired"])[:10]

    @property
    def sites(self) -> tuple[int, ...]:
        """Numbers of the suspected sites."""
        return tuple(int(site["number"]) for site in self.run["sites"])

    @property
    def status(self) -> str:
        """Where its review stands."""
        return finding_status(self.reviews, self.sites)

    @property
    def epsg(self) -> int:
        """CRS of the chip; 0 or less where it has none."""
        chip = self.run["chip"]
        return 0 if chip is None else int(chip["epsg"])


def outcome_of(run: Run) -> str:
    """Name what came of a run; empty for one that says nothing, such as one that was cancelled."""
    if run.found is not None:
        return "suspected" if run.found.sites else "clean"
    if run.unreadable is not None:
        return "unreadable"
    return "no-image" if run.problem_kind in {"NoUsableImageError", "NoSceneError"} else ""


def finding_of(run: Run, finding_id: str, kept: str) -> Finding:
    """Write a run down; raises ValueError for one without an outcome."""
    outcome = outcome_of(run)
    if not outcome:
        raise ValueError("expected a run that came to something")
    said = verdict(run)
    place, place_utm = place_title(run)
    words = KeptWords(
        place=place,
        place_utm=place_utm,
        when=when_and_cloud(run),
        why=why_this_image(run),
        tone=said.tone,
        line=said.line,
        detail=said.detail,
        provenance=tuple(provenance(run)),
    )
    thumbnail = "" if run.composed is None else _png(run.composed.rgb.pixels, THUMBNAIL_PX)
    return Finding(id=finding_id, kept=kept, outcome=outcome, words=words, run=run_record(run), thumbnail=thumbnail)


def pixels_of(run: Run) -> str:
    """Return both pictures as PNG and the bands as NPZ, in base64, as JSON; empty for a run without an image."""
    if run.composed is None:
        return ""
    chip = run.composed.chip
    packed = io.BytesIO()
    np.savez_compressed(packed, dn=np.asarray(chip.dn), valid=chip.valid, obscured=chip.obscured)
    return json.dumps(
        {
            "rgb": _png(run.composed.rgb.pixels),
            "swir": _png(run.composed.swir.pixels),
            "rgb_name": run.composed.rgb.name,
            "swir_name": run.composed.swir.name,
            "bands": base64.b64encode(packed.getvalue()).decode("ascii"),
            "offset": chip.offset_rule.offset,
            "offset_reason": chip.offset_rule.reason,
            "unmeasured": sorted(chip.unmeasured),
        },
    )


def write_finding(finding: Finding) -> str:
    """Return a finding as JSON text."""
    words = dict(finding.words.__dict__)
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "id": finding.id,
            "kept": finding.kept,
            "outcome": finding.outcome,
            "words": {**words, "provenance": [list(row) for row in finding.words.provenance]},
            "run": dict(finding.run),
            "thumbnail": finding.thumbnail,
            "reviews": [review.to_json() for review in finding.reviews],
            "deleted": finding.deleted,
            "toggled": finding.toggled,
        },
        ensure_ascii=False,
    )


def read_finding(text: str, revision: int = 0) -> Finding:
    """Read a finding back; raises FindingError, saying what was expected, for a text that is none."""
    value = _object(text, MAX_RECORD, "a finding")
    if value.get("format") != FORMAT or value.get("version") != VERSION:
        told = f"{value.get('format')!r} version {value.get('version')!r}"
        raise FindingError(f"expected {FORMAT} version {VERSION}, got {told[:80]}")
    texts = {key: _text(value, key) for key in ("id", "kept", "outcome", "thumbnail", "deleted", "toggled")}
    if not ID.fullmatch(texts["id"]) or texts["outcome"] not in OUTCOMES:
        raise FindingError(
            f"expected a finding with an id of 32 hexadecimal digits and an outcome of {', '.join(OUTCOMES)}"
        )
    for key in ("kept", *(key for key in ("deleted", "toggled") if texts[key])):
        _time(texts[key])
    reviews = value.get("reviews")
    if not isinstance(reviews, list):
        raise FindingError("expected a list of reviews")
    return Finding(
        words=_read_words(value.get("words")),
        run=_read_run(value.get("run")),
        reviews=merge_reviews((), (read_review(one) for one in reviews)),
        revision=revision,
        **texts,
    )


def merge(one: Finding, other: Finding) -> Finding:
    """Bring two versions of one finding together: all reviews of both; deleted or not as was said last."""
    later = max(one, other, key=lambda finding: finding.toggled)
    fuller = one if one.run.get("stage") == "done" else other
    return replace(
        fuller,
        reviews=merge_reviews(one.reviews, other.reviews),
        deleted=later.deleted,
        toggled=later.toggled,
        revision=max(one.revision, other.revision),
    )


def entry_of(finding: Finding) -> Entry:
    """Return a finding's line in the list."""
    reviews = " ".join(f"{review.reviewer} {review.note}" for review in finding.reviews)
    scene = finding.run["scene"]
    drawn = drawn_words(kept_drawn(finding))
    told = (
        finding.words.place, finding.words.place_utm, finding.words.line, finding.words.when, finding.acquired,
        str(finding.run["own_file"] or ""), str(finding.run["model"] or ""), "" if scene is None else str(scene["id"]),
        reviews, drawn,
    )  # fmt: skip
    return Entry(
        id=finding.id,
        kept=finding.kept,
        acquired=finding.acquired,
        place=finding.words.place,
        point=finding.point,
        outcome=finding.outcome,
        line=finding.words.line,
        status=finding.status,
        thumbnail=finding.thumbnail,
        deleted=finding.deleted,
        words=" ".join(told).lower(),
        drawn=drawn,
    )


def reopen(finding: Finding, pixels: str, run_id: int) -> Run:
    """Make a run of a finding, as it was at its end; raises FindingError where the pixels cannot be read."""
    record = finding.run
    grid = _grid(record["chip"])
    sites = _sites(record, grid)
    found, unreadable = None, None
    if finding.outcome in {"suspected", "clean"}:
        found = SitesFound(
            sites=sites,
            union_ha=record["box_area_ha"],
            suppressed=0,
            parsed=ParsedAnswer(detections=(), dropped=0, cut_off=False, margin=_margin(record)),
            text=record["answer"] or "",
            refined=_refined(record),
        )
    elif finding.outcome == "unreadable":
        unreadable = AnswerUnreadable(reason="", text=record["answer"] or "")
    scene = _scene(record["scene"])
    generated = scene is not None and scene.scene.generated
    sensitivity = next((one for one in SENSITIVITIES if one.key == record["prompts"]["sensitivity"]), SENSITIVITIES[0])
    catalogue = PRACTICE if generated else next((c for c in CATALOGUES if c.key == EARTH_SEARCH.key), EARTH_SEARCH)
    return Run(
        run_id=run_id,
        request=Request(point=finding.point, catalogue=catalogue, period=EVERY_DATE, sensitivity=sensitivity),
        started=datetime.fromisoformat(finding.kept),
        stage=Stage.DONE,
        grid=grid,
        scene=scene,
        composed=None if grid is None or not pixels else read_pixels(pixels, grid),
        sites=sites,
        found=found,
        unreadable=unreadable,
        description=record["description"] or "",
        timings_ms=tuple((str(stage), float(ms)) for stage, ms in record["ms"].items()),
        context=_context(record),
        kept=finding.words,
    )


def read_pixels(text: str, grid: Grid) -> ChipComposed:
    """Read pictures and bands back; raises FindingError where they are not a chip's."""
    value = _object(text, MAX_PIXELS, "the pixels of a finding")
    shape = (grid.height, grid.width)
    dn, valid, obscured = _read_bands(_bytes(value, "bands"))
    if dn.shape != (len(BANDS), *shape) or valid.shape != shape or obscured.shape != shape:
        raise FindingError(f"expected {len(BANDS)} bands of {grid.width} x {grid.height} px, got shape {dn.shape}")
    offset = value.get("offset")
    if offset not in (0, BOA_OFFSET):
        raise FindingError(f"expected an offset of 0 or {BOA_OFFSET}, got {str(offset)[:20]!r}")
    unmeasured = value.get("unmeasured")
    if not isinstance(unmeasured, list) or not all(name in BANDS for name in unmeasured):
        raise FindingError(f"expected names of bands, got {str(unmeasured)[:80]!r}")
    chip = Chip(
        grid=grid,
        dn=dn,
        valid=valid,
        obscured=obscured,
        offset_rule=OffsetRule(offset=offset, reason=_text(value, "offset_reason")),
        unmeasured=frozenset(unmeasured),
    )
    rgb = Composite(name=_text(value, "rgb_name"), pixels=_read_png(_bytes(value, "rgb"), shape))
    swir = Composite(name=_text(value, "swir_name"), pixels=_read_png(_bytes(value, "swir"), shape))
    return ChipComposed(chip=chip, rgb=rgb, swir=swir, bytes_read=0, least_bytes=0)


def _png(pixels: NDArray[np.uint8], size: int | None = None) -> str:
    picture = Image.fromarray(pixels)
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BOX)
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode("ascii")


def _read_png(data: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if picture.size != shape[::-1] or picture.mode != "RGB":
                raise FindingError(
                    f"expected an RGB picture of {shape[1]} x {shape[0]} px, got {picture.mode} {picture.size}"
                )
            return np.asarray(picture, dtype=np.uint8).copy()
    except (OSError, SyntaxError, ValueError) as error:
        raise FindingError(f"expected a PNG picture: {error}") from error


def _read_bands(data: bytes) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    try:
        archive = Archive(data)
        dn, valid, obscured = (_array(archive.read(f"{name}.npy", MAX_BANDS_BYTES)) for name in BAND_ARRAYS)
    except (ArchiveError, ValueError, SyntaxError, TypeError, TokenError, RecursionError) as error:
        raise FindingError(f"expected the bands of a chip: {error}") from error
    if dn.dtype.kind not in "uif" or valid.dtype != np.bool_ or obscured.dtype != np.bool_:
        raise FindingError(f"expected numbers and two masks, got {dn.dtype}, {valid.dtype} and {obscured.dtype}")
    return dn, valid, obscured


def _array(body: bytes) -> NDArray[Any]:
    """Read one array of numpy's format; its header may claim any size, so that is compared with what is there."""
    stream = io.BytesIO(body)
    if (version := np.lib.format.read_magic(stream)) != (1, 0):
        raise ValueError(f"expected an array of format 1.0, got {version}")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.hasobject or by_columns or math.prod(shape) * dtype.itemsize != len(body) - start:
        raise ValueError(f"expected an array of numbers row by row, got {dtype} of shape {shape}")
    return np.frombuffer(body, dtype, offset=start).reshape(shape).copy()


def _object(text: str, limit: int, what: str) -> dict[str, Any]:
    if len(text) > limit:
        raise FindingError(f"expected {what} of up to {limit} characters, got {len(text)}")
    try:
        value = read_json(text)
    except ValueError as error:
        raise FindingError(f"expected {what} as JSON, got {text[:40]!r}") from error
    if not isinstance(value, dict):
        raise FindingError(f"expected {what}, got {text[:40]!r}")
    return value


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise FindingError(f"expected a text as {key}, got {str(text)[:40]!r}")
    return text


def _bytes(value: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_text(value, key), validate=True)
    except binascii.Error as error:
        raise FindingError(f"expected base64 as {key}") from error


def _time(text: str) -> None:
    try:
        if datetime.fromisoformat(text).utcoffset() is None:
            raise FindingError(f"expected a time with its zone, got {text[:40]!r}")
    except ValueError as error:
        raise FindingError(f"expected a time in ISO 8601, got {text[:40]!r}") from error


def _read_words(value: object) -> KeptWords:
    if not isinstance(value, dict):
        raise FindingError("expected the words of a finding")
    rows = value.get("provenance")
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and [type(cell) for cell in row] == [str, str] for row in rows
    ):
        raise FindingError("expected the provenance as pairs of texts")
    keys = ("place", "place_utm", "when", "why", "tone", "line", "detail")
    return KeptWords(**{key: _text(value, key) for key in keys}, provenance=tuple((row[0], row[1]) for row in rows))


def _number(value: object, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise FindingError(f"expected {what} from {low:g} to {high:g}, got {str(value)[:40]!r}")
    return float(value)


def _read_run(value: object) -> Mapping[str, Any]:
    """Check everything that is read from a record later on; what is only handed on may be anything."""
    if not isinstance(value, dict):
        raise FindingError("expected the record of a run")
    keys = {
        "point", "own_file", "stage", "verdict", "backend", "model", "scene", "chip", "boxes", "sites", "box_area_ha",
        "disturbed", "answer", "prompts", "description", "ms", "bytes_read", "least_bytes", "provenance",
    }  # fmt: skip
    if missing := keys - set(value):
        raise FindingError(f"expected a record with {', '.join(sorted(missing))}")
    for key in ("description", "answer", "own_file", "model", "backend"):
        if value[key] is not None and not isinstance(value[key], str):
            raise FindingError(f"expected a text as {key}")
    if not isinstance(value["ms"], dict) or not isinstance(value["prompts"], dict):
        raise FindingError("expected times and prompts")
    for key in ("sensitivity", "boxes"):
        _text(value["prompts"], key)
    for ms in value["ms"].values():
        _number(ms, "a time in ms", 0, 1e12)
    try:
        if value["point"] is not None:
            _number(value["point"]["lon"], "a longitude", -180, 180)
            _number(value["point"]["lat"], "a latitude", -90, 90)
        grid = _grid(value["chip"])
        _scene(value["scene"])
        _margin(value)
        _context(value)
        _fingerprint(value)
        _sites(value, grid)
        _refined(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FindingError(f"expected the record of a run, got one that is damaged: {error}") from error
    return cast("Mapping[str, Any]", value)


def _grid(chip: Mapping[str, Any] | None) -> Grid | None:
    if chip is None:
        return None
    size = int(_number(chip["size"], "a chip's size", 1, 16 * CHIP_SIZE))
    x, y = (_number(one, "metres", -1e8, 1e8) for one in chip["origin"])
    return Grid(
        epsg=int(_number(chip["epsg"], "an EPSG code", -1, 33_000)),
        origin=PointXY(x, y),
        gsd_m=_number(chip["gsd_m"], "metres a pixel", 1e-3, 1e5),
        width=size,
        height=size,
    )


def _scene(scene: Mapping[str, Any] | None) -> SceneChosen | None:
    if scene is None:
        return None
    acquired = datetime.fromisoformat(scene["acquired"])
    return SceneChosen(
        scene=Scene(
            id=str(scene["id"]),
            acquired=acquired,
            platform="",
            cloud_percent=_number(scene["cloud_percent"], "percent", 0, 100),
            baseline=(0, 0),
            boa_offset_applied=None,
            hrefs={},
            generated=bool(scene["generated"]),
        ),
        chip_cloud_percent=_number(scene["chip_cloud_percent"], "percent", 0, 100),
        candidates=0,
        examined=0,
        reason="",
        scenes=(),
        placement="",
        median_of=tuple(datetime.fromisoformat(day).date() for day in scene["median_of"]),
    )


def _area(value: object) -> float | None:
    return None if value is None else _number(value, "hectares", 0, 1e9)


def _context(record: Mapping[str, Any]) -> tuple[tuple[Near, ...], ...]:
    """Return what is near each site; records from before layers were known have nothing."""
    return tuple(
        tuple(
            Near(
                layer=str(near["layer"]),
                added=str(near["added"]),
                feature=str(near["feature"]),
                distance_m=_number(near["distance_m"], "metres", 0, 1e7),
            )
            for near in nears
        )
        for nears in record.get("context", ())
    )


def _fingerprint(record: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the list of the model's files; records from before it was written down have none."""
    files = record.get("model_files")
    if files is None:
        return None
    if not SHA256.fullmatch(files["sha256"]):
        raise FindingError(f"expected a SHA-256 of the model's files, got {files['sha256'][:40]!r}")
    return str(files["sha256"])


def _margin(record: Mapping[str, Any]) -> float | None:
    margin = record.get("decision_margin")
    return None if margin is None else _number(margin, "a margin", -1, 1)


def _sites(record: Mapping[str, Any], grid: Grid | None) -> tuple[Site, ...]:
    if not isinstance(record["sites"], list) or (record["sites"] and grid is None):
        raise FindingError(f"expected a list of sites on a chip, got {str(record['sites'])[:40]!r}")
    if grid is None:
        return ()
    if len(record["sites"]) > MAX_SITES:
        raise FindingError(f"expected up to {MAX_SITES} sites, got {len(record['sites'])}")
    sites = []
    for site in record["sites"]:
        x1, y1, x2, y2 = (_number(edge, "an edge of a box", 0, 1) for edge in site["box"])
        score = site["token_score"]
        number = int(_number(site["number"], "a site's number", 1, MAX_SITES))
        score = None if score is None else _number(score, "a token score", 0, 1)
        placed = site_at((x1, y1, x2, y2), grid, number=number, label=str(site["label"]), token_score=score)
        sites.append(replace(placed, box_area_ha=_area(site["box_area_ha"])))
    return tuple(sites)


def _refined(record: Mapping[str, Any]) -> Refined | None:
    told = record["disturbed"]
    if told is None:
        return None
    sites = []
    for site in record["sites"]:
        polygons = read_polygons(site["disturbed"])
        sites.append(
            Disturbed(number=int(site["number"]), area_ha=_area(site["disturbed_ha"]) or 0.0, polygons=polygons)
        )
    return Refined(
        area_ha=_area(told["area_ha"]) or 0.0,
        low_ha=_area(told["low_ha"]) or 0.0,
        high_ha=_area(told["high_ha"]) or 0.0,
        ndvi_below=_number(told["ndvi_below"], "an NDVI", -1, 1),
        hidden_percent=_number(told["hidden_percent"], "percent", 0, 100),
        sites=tuple(sites),
    )


def kept_sites(finding: Finding) -> tuple[Site, ...]:
    """Return the sites of a finding."""
    return _sites(finding.run, _grid(finding.run["chip"]))


def kept_context(finding: Finding) -> tuple[tuple[Near, ...], ...]:
    """Return for each site the nearest features of the layers of that time."""
    return _context(finding.run)


def kept_grid(finding: Finding) -> Grid | None:
    """Return the chip's grid; None where no chip was cut."""
    return _grid(finding.run["chip"])


def kept_refined(finding: Finding) -> Refined | None:
    """Return the disturbed ground of a finding; None where it is not known."""
    return _refined(finding.run)


def kept_drawn(finding: Finding) -> tuple[Drawn, ...]:
    """Return the boxes that reviewers drew and that stand."""
    return drawn_sites(finding.sites, kept_grid(finding), finding.reviews)


def kept_confirmed(finding: Finding) -> tuple[tuple[Site, Disturbed | None], ...]:
    """Return the sites that people confirmed, as they drew them last, each with its disturbed ground."""
    return confirmed_sites(kept_sites(finding), kept_grid(finding), finding.reviews, kept_refined(finding))


def kept_fingerprint(finding: Finding) -> str | None:
    """Return the SHA-256 of the list of the model's files; None where it was not written down."""
    return _fingerprint(finding.run)
