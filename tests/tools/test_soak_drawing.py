"""The picture of a soak's ledger."""

import json
from xml.etree import ElementTree as ET

from bench.soak import CURVES, HEIGHT, main

ROWS = [{"click": click, **dict.fromkeys(CURVES, 1_000_000 * click)} for click in range(1, 6)]


def test_each_ledger_is_a_curve_with_its_first_last_and_largest_value(tmp_path):
    ledger, picture = tmp_path / "a.jsonl", tmp_path / "a.svg"
    ledger.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert main([str(ledger), str(picture)]) == 0
    drawn = ET.fromstring(picture.read_text())  # noqa: S314 - drawn above
    curves = [one.attrib["points"].split() for one in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    titles = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert [len(points) for points in curves] == [len(ROWS)] * len(CURVES)
    heights = [float(point.split(",")[1]) for point in curves[0]]
    assert heights == sorted(heights, reverse=True)
    assert 0 < min(heights) < max(heights) < HEIGHT
    assert "5 clicks: 1.0 to 4.8, most 4.8" in titles[0]
