"""What a Sentinel-2 product says of its own values: the offset that was added, the scale, the time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

import numpy as np

from galamsey.chips import BOA_OFFSET, DARK_SHARE, OFFSET_BASELINE, REFLECTANCE_SCALE, OffsetRule
from galamsey.errors import ImageFileError
from galamsey.scenes import format_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

MAX_XML_BYTES: Final = 8_000_000
"""ESA's descriptions take some 60 kB; those of the first years, with many granules, a few hundred."""

BAND_IDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Bands in the order of their ``band_id``, for a description that does not list them."""

LARGEST_OFFSET: Final = 10_000
"""An added value beyond the whole range of reflectance is none."""

_DESCRIPTION: Final = re.compile(r"(?:^|/)(?:MTD_MSIL(?:1C|2A)|[^/]*_MTD_SAFL(?:1C|2A)_[^/]*)\.xml$", re.IGNORECASE)
_NAME: Final = re.compile(r"S2[A-D]_MSIL(1C|2A)_(\d{8}T\d{6})_N(\d\d)(\d\d)_", re.IGNORECASE)
_BAND_FILE: Final = re.compile(r"_(?:(\d{8}T\d{6})_)?(B\d\d|B8A)(?:_\d\dm)?\.jp2$", re.IGNORECASE)
_ROOT: Final = re.compile(r"Level-(1C|2A)_User_Product")

_TIME: Final = "PRODUCT_START_TIME"
_BASELINE: Final = "PROCESSING_BASELINE"
_SCALES: Final = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
_OFFSETS: Final = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
_SPECTRAL: Final = "Spectral_Information"


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is known of a product beside its pixels."""

    level: str = ""
    """1C: reflectance at the top of the atmosphere. 2A: at the surface. Empty where nothing tells."""
    source: str = ""
    """Name of the description that was read; empty where there is none, or none that can be read."""
    baseline: tuple[int, int] | None = None
    """ESA's processing baseline, as the description says."""
    named_baseline: tuple[int, int] | None = None
    """The same, as the product's name says."""
    added: Mapping[str, int] = field(default_factory=dict)
    """What ESA added to the values of each band, by its number; empty where none is listed."""
    scale: float = REFLECTANCE_SCALE
    """Values per unit of reflectance."""
    taken: datetime | None = None
    """UTC."""
    problem: str = ""
    """Why the description could not be read, where there is one."""

    @property
    def tells_offset(self) -> bool:
        """Say whether there is anything to decide on the offset by, beside the values."""
        return bool(self.source) or self.named_baseline is not None


def taken_words(product: Product | None) -> str:
    """Say when a product was taken; empty where that is unknown."""
    if product is None or product.taken is None:
        return ""
    return f"{format_date(product.taken.date())}, {product.taken:%H:%M} UTC"


def product_words(product: Product) -> str:
    """Say what is known of a product, and by what; empty where that is no more than a time."""
    if not (product.tells_offset or product.problem):
        return ""
    level = f"level {product.level}" if product.level else "level unknown"
    baseline = product.baseline or product.named_baseline
    source = product.source or (f"its name, as {product.problem}" if product.problem else "its name")
    if not product.tells_offset:
        return product.problem
    return f"{level}, baseline {_words(baseline)}, told by {source}"


def description_path(paths: Iterable[str]) -> str | None:
    """Return which of a product's files describes it, the outermost of several; None where none does."""
    found = [path for path in paths if _DESCRIPTION.search(path.replace("\\", "/"))]
    return min(found, key=lambda path: (path.replace("\\", "/").count("/"), path), default=None)


def band_number(file_name: str) -> str:
    """Return ESA's number of the band in a file, such as B8A; empty for a name without one."""
    match = _BAND_FILE.search(file_name)
    return "" if match is None else match[2].upper()


def read_names(names: Iterable[str]) -> Product | None:
    """Tell level, baseline and time by the names of a product, its folders and files; None where they tell nothing."""
    names = list(names)
    for name in names:
        if match := _NAME.search(name):
            return Product(
                level=match[1].upper(), named_baseline=(int(match[3]), int(match[4])), taken=_compact(match[2])
            )
    for name in names:
        if match := _BAND_FILE.search(name):
            return Product(taken=_compact(match[1] or ""))
    return None


def _compact(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def describe(named: Product | None, path: str, data: bytes) -> Product:
    """Add what a description says to what the names tell.

    One that cannot be read is not trusted in any part; ``problem`` then says what was expected and what came.
    """
    file_name = PurePosixPath(path.replace("\\", "/")).name
    base = named or Product()
    try:
        said = read_description(data)
    except ImageFileError as error:
        return replace(base, problem=f"{file_name} cannot be read: {error}")
    return replace(said, source=file_name, named_baseline=base.named_baseline, taken=said.taken or base.taken)


def read_description(data: bytes) -> Product:
    """Read MTD_MSIL2A.xml or MTD_MSIL1C.xml.

    Raises ImageFileError for what is no such file. A document type declaration ends the reading where it begins, so
    that no entity is ever declared, expanded or fetched: ESA's files have none.
    """
    if len(data) > MAX_XML_BYTES:
        raise ImageFileError(f"expected at most {MAX_XML_BYTES:,} bytes, got {len(data):,}")
    found = _elements(data)
    root = _ROOT.fullmatch(found.root)
    if root is None:
        raise ImageFileError(
            f"expected the description of a Sentinel-2 product of level 1C or 2A, got <{found.root[:60]}>"
        )
    scale = _number("the quantification value", found.first(*_SCALES) or str(REFLECTANCE_SCALE))
    if scale < 1:
        raise ImageFileError(f"expected a quantification value of 1 or more, got {scale:g}")
    return Product(
        level=root[1],
        baseline=_version(found.first(_BASELINE)),
        added={found.band(band_id): _added(band_id, text) for band_id, text in found.offsets},
        scale=scale,
        taken=_moment(found.first(_TIME)),
    )


@dataclass(kw_only=True)
class _Found:
    """Text of the elements that are wanted."""

    root: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    offsets: list[tuple[str, str]] = field(default_factory=list)
    """Identifier of the band, and the text beside it."""
    bands: dict[str, str] = field(default_factory=dict)
    """Identifier to the band's number, as the description lists them."""

    def first(self, *names: str) -> str:
        return next((self.texts[name] for name in names if name in self.texts), "")

    def band(self, band_id: str) -> str:
        if band_id in self.bands:
            return self.bands[band_id]
        if band_id.isdecimal() and int(band_id) < len(BAND_IDS):
            return BAND_IDS[int(band_id)]
        raise ImageFileError(f"expected the identifier of a band from 0 to {len(BAND_IDS) - 1}, got {band_id[:20]!r}")


def _elements(data: bytes) -> _Found:
    found = _Found()
    wanted = {_TIME, _BASELINE, *_SCALES, *_OFFSETS}
    pieces: list[str] = []
    open_band: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        found.root = found.root or local
        pieces.clear()
        if local in _OFFSETS:
            open_band[:] = [attributes.get("band_id", "")]
        elif local == _SPECTRAL:
            found.bands[attributes.get("bandId", "")] = _two_digits(attributes.get("physicalBand", ""))

    def end(name: str) -> None:
        local, text = name.rpartition(":")[2], "".join(pieces).strip()
        pieces.clear()
        if local in _OFFSETS:
            found.offsets.append((open_band[0], text))
        elif local in wanted:
            found.texts.setdefault(local, text)

    def doctype(*_facts: object) -> None:
        raise ImageFileError("it has a document type declaration, which ESA's descriptions do not have")

    parser = expat.ParserCreate("UTF-8")  # as ESA writes; a file is not asked which codec to load
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = pieces.append
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ImageFileError(f"expected XML, got something else or a file cut short: {error}") from error
    return found


def _two_digits(name: str) -> str:
    """Write a band's number as file names do: B4 is B04."""
    match = re.fullmatch(r"B(\d)", name)
    return f"B0{match[1]}" if match else name


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ImageFileError(f"expected a number as {what}, got {text[:40]!r}") from error
    if not math.isfinite(value):
        raise ImageFileError(f"expected a finite number as {what}, got {text[:40]!r}")
    return value


def _added(band_id: str, text: str) -> int:
    """Return what was added; ESA writes what is to be added to take it off again, so with the other sign."""
    value = -_number(f"the offset of band {band_id[:20]}", text)
    if not 0 <= value <= LARGEST_OFFSET:
        raise ImageFileError(f"expected an offset from -{LARGEST_OFFSET} to 0, got {text[:40]!r}")
    return round(value)


def _version(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", text)
    if match is None:
        raise ImageFileError(f"expected a processing baseline such as 05.11, got {text[:40]!r}")
    return int(match[1]), int(match[2])


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ImageFileError(f"expected a time such as 2025-01-10T10:33:21.024Z, got {text[:40]!r}") from error
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def to_reflectance_scale(
    product: Product, dn: NDArray[np.float64], valid: NDArray[np.bool_], numbers: Sequence[str]
) -> tuple[NDArray[np.float64], OffsetRule]:
    """Bring a product's values, shape (bands, height, width), to 10,000 per unit of reflectance and one offset.

    ``numbers`` are ESA's of the bands. The description decides on the offset, else the baseline in the name. Where they
    contradict each other, or the data contradict them, the data decide: with an offset in place hardly any value can
    lie below it.
    """
    listed = max((product.added.get(number, 0) for number in numbers), default=0)
    told, contradiction = _told(product, listed)
    most = listed or BOA_OFFSET
    values = dn[:, valid]
    dark = float(np.less(values, most).mean()) if values.size else 0.0
    hidden = dark > DARK_SHARE
    if contradiction:
        share = f"{100 * dark:.0f} % of values lie below {most}" if hidden else f"hardly a value lies below {most}"
        outcome = "nothing is taken off" if hidden else f"{most} is taken off"
        rule = OffsetRule(
            offset=0 if hidden else most, reason=f"{contradiction}; the data decide: {share}, so {outcome}"
        )
    elif not told.offset:
        return dn * (REFLECTANCE_SCALE / product.scale), told
    elif hidden:
        rule = OffsetRule(
            offset=0,
            reason=f"{told.reason}, but {100 * dark:.0f} % of values lie below {most}: it was taken off before",
        )
    else:
        rule = told
    if rule.offset and listed:
        lacks = [most - product.added.get(number, most) for number in numbers]
        dn = dn + np.array(lacks, dtype=np.float64)[:, None, None]
    factor = REFLECTANCE_SCALE / product.scale
    return dn * factor, replace(rule, offset=round(rule.offset * factor))


def _told(product: Product, listed: int) -> tuple[OffsetRule, str]:
    """Return the rule by what the product says, and in what its sayings contradict each other."""
    baseline = product.baseline or product.named_baseline
    by_baseline = baseline is not None and baseline >= OFFSET_BASELINE
    named = product.named_baseline
    if not product.source:
        words = f"baseline {_words(named)}, by the product's name"
        if by_baseline:
            return OffsetRule(offset=BOA_OFFSET, reason=f"{words}, adds {BOA_OFFSET}"), ""
        return OffsetRule(offset=0, reason=f"{words}, has no offset"), ""
    said = f"{product.source}: baseline {_words(product.baseline)}, " + (f"{listed} added" if listed else "no offset")
    rule = OffsetRule(offset=listed, reason=said)
    if baseline is not None and by_baseline != bool(listed):
        rest = "adds 1000" if by_baseline else "has no offset"
        return rule, f"{said}, against the rule that this baseline {rest}"
    if named is not None and (named >= OFFSET_BASELINE) != bool(listed):
        return rule, f"{said}, against baseline {_words(named)} in the product's name"
    return rule, ""


def _words(baseline: tuple[int, int] | None) -> str:
    return "unknown" if baseline is None else f"{baseline[0]:02d}.{baseline[1]:02d}"
