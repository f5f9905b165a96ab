"""Write findings as a printable report: map, pictures with boxes, table, method and limits, provenance, hashes.

Imported only once its library is there: the page fetches it when a report is first asked for.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, KeepTogether, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

from galamsey.drawings import numbers_of, total_ha
from galamsey.evidence import DRAWN_BOX, HONESTY, evidence_of
from galamsey.findings import kept_confirmed
from galamsey.refine import METHOD
from galamsey.reviews import REASONS
from galamsey.sheet import GENERATED
from galamsey.wording_findings import STATUS_WORDS, review_words, total_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.findings import Finding

TEXT: Final = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12.5)
SMALL: Final = ParagraphStyle("small", parent=TEXT, fontSize=7.5, leading=10, textColor=colors.HexColor("#45525f"))
BAD: Final = ParagraphStyle("bad", parent=TEXT, fontName="Helvetica-Bold", textColor=colors.HexColor("#a8261c"))
MONO: Final = ParagraphStyle("mono", parent=SMALL, fontName="Courier", fontSize=6.5, leading=8.5, wordWrap="CJK")
TITLE: Final = ParagraphStyle("title", parent=TEXT, fontName="Helvetica-Bold", fontSize=17, leading=22)
HEAD: Final = ParagraphStyle("head", parent=TEXT, fontName="Helvetica-Bold", fontSize=12, leading=16, spaceBefore=8)
SUBHEAD: Final = ParagraphStyle("subhead", parent=TEXT, fontName="Helvetica-Bold", spaceBefore=6, spaceAfter=2)

SITE: Final = colors.HexColor("#c2129d")
LINE: Final = colors.HexColor("#c5ced6")
LAND: Final = colors.HexColor("#eff1ea")
CELL: Final = 1500
"""Characters that a cell of the provenance holds."""
NAME: Final = 60
INDENT: Final = 6
"""Points by which the library indents what flows."""
MAP_HEIGHT: Final = 92 * mm
GHANA: Final = (-3.4, 4.6, 1.3, 11.3)
"""West, south, east and north edge of the map, degrees."""

LIMITS: Final = (
    "The model misses mines, small ones above all: the full model's published pixel recall is 0.592.",
    "“No mining found” is one model's answer for one chip on one day.",
    "Sandbars, braided rivers, ponds, roofs, roads, bare fields, rock and licensed mines can look like what is sought.",
    "Even perfect boxes cover about 2.1 times the mined area of the published test set.",
    "Token scores tell how sure the model was of its wording. They are not probabilities of mining.",
    "Imagery shows disturbance. Whether it is legal is not for imagery to say.",
)


def latin(text: str) -> str:
    """Return text that the report's fonts hold; other letters become question marks."""
    plain = text.replace("×", "x").replace("…", "...")  # noqa: RUF001 - the sign of multiplication
    plain = "".join(letter for letter in plain if letter >= " ")
    return plain.encode("cp1252", "replace").decode("cp1252")


def _say(text: str, style: ParagraphStyle = TEXT) -> Paragraph:
    return Paragraph(escape(latin(text)), style)


class Locator(Flowable):  # type: ignore[misc] # the library ships no types
    """A map of Ghana with the findings on it."""

    def __init__(self, outlines: Sequence[Sequence[Sequence[float]]], findings: Sequence[Finding]) -> None:
        super().__init__()
        self._outlines, self._findings = outlines, findings
        west, south, east, north = GHANA
        self.height = MAP_HEIGHT
        self.width = MAP_HEIGHT * (east - west) / (north - south)

    def draw(self) -> None:
        """Draw land, degrees and a numbered mark for each finding."""
        pen, (west, south, east, north) = self.canv, GHANA
        scale = self.height / (north - south)

        def at(lon: float, lat: float) -> tuple[float, float]:
            return (lon - west) * scale, (lat - south) * scale

        pen.setStrokeColor(LINE)
        pen.setFillColor(LAND)
        frame = pen.beginPath()
        frame.rect(0, 0, self.width, self.height)
        pen.saveState()
        pen.clipPath(frame, stroke=0)
        for ring in self._outlines:
            path = pen.beginPath()
            path.moveTo(*at(*ring[0][:2]))
            for corner in ring[1:]:
                path.lineTo(*at(*corner[:2]))
            path.close()
            pen.drawPath(path, fill=1)
        pen.setFont("Helvetica", 6)
        pen.setFillColor(colors.HexColor("#52606f"))
        for degree in range(-3, 12):
            if west < degree < east:
                pen.line(*at(degree, south), *at(degree, north))
                pen.drawString(at(degree, south)[0] + 2, 2, f"{abs(degree)}° {'W' if degree < 0 else 'E'}")
            if south < degree < north:
                pen.line(*at(west, degree), *at(east, degree))
                pen.drawString(2, at(west, degree)[1] + 2, f"{degree}° N")
        pen.restoreState()
        pen.rect(0, 0, self.width, self.height)
        for number, finding in enumerate(self._findings, start=1):
            if finding.point is not None:
                x, y = at(*finding.point)
                pen.setFillColor(SITE if finding.outcome == "suspected" else colors.HexColor("#52606f"))
                pen.circle(x, y, 3, stroke=0, fill=1)
                pen.setFont("Helvetica-Bold", 8)
                pen.drawString(x + 5, y - 2.5, str(number))


def write_report(
    findings: Sequence[Finding],
    *,
    made: str,
    outlines: Sequence[Sequence[Sequence[float]]],
    pictures: Mapping[str, Sequence[bytes]],
    sha256: Mapping[str, str],
) -> bytes:
    """Return a PDF of A4 pages.

    ``outlines`` are rings of degrees to draw as land; ``pictures`` PNGs by the findings' ids; ``sha256`` the hashes of
    the files that go with the report, by name.
    """
    packed = io.BytesIO()
    document = SimpleDocTemplate(
        packed,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=16 * mm,
        bottomMargin=18 * mm,
        title="Suspected mining",
        author="Galamsey",
        subject=HONESTY,
    )
    story: list[Any] = [_say("Suspected mining: report", TITLE), _say(f"Made {made}", SMALL), Spacer(1, 6)]
    story += [_say(HONESTY), *_generated_warning(findings), Spacer(1, 8)]
    beside = Table(
        [[Locator(outlines, findings), _summary(findings)]],
        colWidths=(66 * mm, 108 * mm),
        hAlign="LEFT",
        style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)],
    )
    story += [beside, Spacer(1, 8), _overview(findings)]
    for number, finding in enumerate(findings, start=1):
        story += [PageBreak(), *_finding(number, finding, pictures.get(finding.id, ()))]
    story += [PageBreak(), _say("Method and limits", HEAD), _say(METHOD), Spacer(1, 4)]
    story += [_say(f"• {limit}") for limit in LIMITS]
    if sha256:
        rows = [[_say(name, MONO), _say(value, MONO)] for name, value in sha256.items()]
        story += [_say("SHA-256 of the files with this report", HEAD), _table(rows, (78 * mm, 96 * mm))]
    document.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return packed.getvalue()


def _is_generated(finding: Finding) -> bool:
    return bool(finding.run["scene"] and finding.run["scene"]["generated"])


def _generated_warning(findings: Sequence[Finding]) -> list[Any]:
    """Say in red that imagery was made up, where some was."""
    count = sum(_is_generated(finding) for finding in findings)
    if not count:
        return []
    which = "All imagery" if count == len(findings) else f"The imagery of {count} findings"
    return [
        Spacer(1, 4),
        _say(f"{which} in this report was generated for practice: {GENERATED}. It proves nothing.", BAD),
    ]


def _summary(findings: Sequence[Finding]) -> list[Any]:
    """Say what is in the report, for whoever reads only its first page."""
    outcomes = [finding.outcome for finding in findings]
    named = {"suspected": "with suspected sites", "clean": "in which this model found no mining",
             "unreadable": "with an unreadable answer", "no-image": "without a usable image"}  # fmt: skip
    confirmed = [site for finding in findings for site in kept_confirmed(finding)]
    rows = [f"{len(findings)} place{'' if len(findings) == 1 else 's'} looked at"]
    rows += [f"{outcomes.count(key)} {words}" for key, words in named.items() if key in outcomes]
    rows.append(f"{sum(len(finding.sites) for finding in findings)} sites suspected by the model")
    if confirmed:
        totals = [total_ha(kept_confirmed(finding)) for finding in findings if kept_confirmed(finding)]
        sums = [None if None in column else sum(column) for column in zip(*totals, strict=True)]
        rows.append(total_words(len(confirmed), sums[0], sums[1]))
    else:
        rows.append("No site has been confirmed by a reviewer")
    return [_say("Summary", SUBHEAD), *(_say(f"• {row}") for row in rows)]


def _foot(pen: Any, _document: object) -> None:  # noqa: ANN401 - the library ships no types
    pen.setFont("Helvetica", 7)
    pen.setFillColor(colors.HexColor("#45525f"))
    pen.drawString(18 * mm + INDENT, 10 * mm, "Suspected mining in Sentinel-2 imagery. Disturbance, not illegality.")
    pen.drawRightString(A4[0] - 18 * mm - INDENT, 10 * mm, f"Page {pen.getPageNumber()}")


def _table(rows: list[list[Any]], widths: Sequence[float]) -> Table:
    style = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ]
    return Table(rows, colWidths=widths, style=style, hAlign="LEFT")


def _overview(findings: Sequence[Finding]) -> Table:
    rows: list[list[Any]] = [[_say(name, SUBHEAD) for name in ("", "Place", "Image", "Result", "Review")]]
    for number, finding in enumerate(findings, start=1):
        reviewed = STATUS_WORDS[finding.status] if finding.outcome == "suspected" or finding.reviews else ""
        cells = (str(number), finding.words.place, finding.acquired or "none", finding.words.line, reviewed)
        rows.append([_say(cell, SMALL) for cell in cells])
    return _table(rows, (8 * mm, 36 * mm, 20 * mm, 88 * mm, 22 * mm))


def _finding(number: int, finding: Finding, pictures: Sequence[bytes]) -> list[Any]:
    words = finding.words
    story: list[Any] = [
        _say(f"{number}. {words.place}", HEAD),
        _say(f"{words.place_utm}. {words.when}", SMALL),
        *([_say(f"Generated for practice: {GENERATED}.", BAD)] if _is_generated(finding) else []),
        _say(words.line, SUBHEAD),
        _say(words.detail),
        Spacer(1, 6),
    ]
    if pictures:
        images = [_picture(png) for png in pictures]
        story += [
            Table(
                [images], colWidths=[88 * mm] * len(images), hAlign="LEFT", style=[("LEFTPADDING", (0, 0), (-1, -1), 0)]
            )
        ]
    sites = evidence_of(finding)
    if sites:
        heads = ("Site", "Outline", "Longitude, latitude", "Disturbed", "In the box", "Token score", "Review")
        rows: list[list[Any]] = [[_say(head, SMALL) for head in heads]]
        for one in sites:
            facts = one.facts
            review = ", ".join(
                part
                for part in (facts["status"], *(REASONS[key] for key in facts["reasons"].split(", ") if key))
                if part
            )
            drawn = one.kind == DRAWN_BOX
            outline = f"by {_short(facts['drawn_by'])}, {facts['drawn_at'][:10]}" if drawn else "by the model"
            place = "" if one.centre is None else f"{one.centre.lon:.5f}, {one.centre.lat:.5f}"
            cells = (str(facts["site"]), outline, place, _ha(facts["disturbed_ha"]), _ha(facts["box_area_ha"]),
                     "" if facts["token_score"] is None else f"{facts['token_score']:.2f}", review)  # fmt: skip
            rows.append([_say(cell, SMALL) for cell in cells])
        widths = (10 * mm, 34 * mm, 34 * mm, 20 * mm, 20 * mm, 18 * mm, 38 * mm)
        story += [_say("Suspected sites", SUBHEAD), _table(rows, widths)]
    if confirmed := kept_confirmed(finding):
        story += [Spacer(1, 3), _say(f"{total_words(len(confirmed), *total_ha(confirmed))}.")]
    if finding.run["description"]:
        story += [KeepTogether([_say("In the model's words", SUBHEAD), _say(str(finding.run["description"]))])]
    if finding.reviews:
        numbers = numbers_of(finding.sites, finding.reviews)
        said = [_say(review_words(review, numbers)) for review in finding.reviews]
        story += [_say("Reviews", SUBHEAD), *said]
    rows = [[_say(name, SMALL), _say(text, SMALL)] for name, text in _in_pieces(words.provenance)]
    rows.append([_say("Finding", SMALL), _say(finding.id, SMALL)])
    return [*story, _say("How this was found", SUBHEAD), _table(rows, (34 * mm, 140 * mm))]


def _in_pieces(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return rows none of which is higher than a page."""
    return [
        ("" if start else name, value[start : start + CELL])
        for name, value in rows
        for start in range(0, max(len(value), 1), CELL)
    ]


def _short(name: str) -> str:
    """Return a name that fits a narrow column."""
    return name if len(name) <= NAME else f"{name[:NAME]}..."


def _picture(png: bytes) -> Image:
    image = Image(io.BytesIO(png))
    ratio = image.imageHeight / image.imageWidth
    image.drawWidth, image.drawHeight = 86 * mm, 86 * mm * ratio
    return image


def _ha(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ha"
