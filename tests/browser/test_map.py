"""The map by itself: real base map, strict policy, no network."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

OBUASI = (-1.668, 6.2023)
CHIP = [[-1.674, 6.208], [-1.6624, 6.208], [-1.6624, 6.1965], [-1.674, 6.1965], [-1.674, 6.208]]


@pytest.fixture
def page(open_page: Callable[[Browser, str], Page], wasm_browser: Browser) -> Page:
    page = open_page(wasm_browser, "map.html")
    page.locator("body[data-ready]").wait_for()
    return page


def collection(ring: list, **properties: object) -> str:
    feature = {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def settle(page: Page, script: str, argument: object = None) -> None:
    """Change the map, then wait until everything is drawn."""
    page.evaluate(
        f"""async (argument) => {{
            const idle = chart.map.once("idle");
            ({script})(argument);
            chart.map.triggerRepaint();
            await idle;
        }}""",
        argument,
    )


def go(page: Page, lon: float, lat: float, zoom: float) -> None:
    settle(page, "([center, zoom]) => chart.map.jumpTo({ center, zoom })", [[lon, lat], zoom])


def drawn(page: Page, layer: str) -> int:
    return page.evaluate("(layer) => chart.map.queryRenderedFeatures({ layers: [layer] }).length", layer)


def color_at(page: Page, lon: float, lat: float) -> list[int]:
    """The colour that the map draws at a place."""
    return page.evaluate(
        """async ([lon, lat]) => {
            const { x, y } = bridge.project(chart, lon, lat);
            const rendered = chart.map.once("render");
            chart.map.triggerRepaint();
            await rendered;
            const gl = chart.map.painter.context.gl;
            const ratio = devicePixelRatio, pixel = new Uint8Array(4);
            gl.readPixels(x * ratio, gl.drawingBufferHeight - y * ratio, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
            return [...pixel].slice(0, 3);
        }""",
        [lon, lat],
    )


def test_the_base_map_shows_land_rivers_and_named_towns(page: Page) -> None:
    go(page, *OBUASI, 9)
    assert drawn(page, "ghana") > 0
    assert drawn(page, "rivers") > 0
    names = page.evaluate(
        "chart.map.queryRenderedFeatures({ layers: ['town-names'] }).map((town) => town.properties.name)",
    )
    assert {"Obuasi", "Dunkwa-on-Offin"} <= set(names)


def test_a_click_gives_the_place_under_the_pointer(page: Page) -> None:
    go(page, *OBUASI, 12)
    size = page.viewport_size
    where = page.evaluate("([x, y]) => bridge.unproject(chart, x, y)", [size["width"] / 4, size["height"] / 3])
    page.mouse.click(size["width"] / 4, size["height"] / 3)
    [[lon, lat]] = page.evaluate("heard.click")
    assert lon == pytest.approx(where["lon"], abs=1e-4)
    assert lat == pytest.approx(where["lat"], abs=1e-4)
    # And independently: 256 * 2**(zoom + 1) px are 360 degrees of longitude.
    assert lon == pytest.approx(OBUASI[0] - size["width"] / 4 * 360 / (512 * 2**12), abs=1e-3)


def test_enter_looks_at_the_cross_hair_which_only_the_keyboard_shows(page: Page) -> None:
    go(page, *OBUASI, 12)
    crosshair = page.locator(".chart-crosshair")
    expect(crosshair).to_be_hidden()
    page.keyboard.press("Tab")
    expect(page.locator("#map canvas")).to_be_focused()
    expect(crosshair).to_be_visible()
    box, viewport = crosshair.bounding_box(), page.viewport_size
    assert box["x"] + box["width"] / 2 == pytest.approx(viewport["width"] / 2, abs=1)
    assert box["y"] + box["height"] / 2 == pytest.approx(viewport["height"] / 2, abs=1)
    page.keyboard.press("Enter")
    [[lon, lat]] = page.evaluate("heard.click")
    assert (lon, lat) == pytest.approx(OBUASI, abs=1e-3)
    before = page.evaluate("bridge.getView(chart).lon")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => bridge.getView(chart).lon > before", arg=before)
    page.mouse.click(40, 400)
    expect(crosshair).to_be_hidden()


def test_a_covered_part_moves_the_centre_and_the_cross_hair(page: Page) -> None:
    page.evaluate("bridge.setPadding(chart, 0, 0, 300, 100)")
    go(page, *OBUASI, 12)
    size = page.viewport_size
    aim = ((size["width"] + 100) / 2, (size["height"] - 300) / 2)
    spot = page.evaluate("([lon, lat]) => bridge.project(chart, lon, lat)", list(OBUASI))
    assert (spot["x"], spot["y"]) == pytest.approx(aim, abs=1)
    page.keyboard.press("Tab")
    box = page.locator(".chart-crosshair").bounding_box()
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx(aim, abs=1)
    page.keyboard.press("Enter")
    [[lon, lat]] = page.evaluate("heard.click")
    assert (lon, lat) == pytest.approx(OBUASI, abs=1e-3)


def test_a_marker_is_a_named_button_and_no_click_on_the_ground(page: Page) -> None:
    go(page, *OBUASI, 13)
    page.evaluate(
        "([lon, lat]) => bridge.setMarkers(chart, JSON.stringify("
        "[{ id: 3, lon, lat, text: '3', label: 'Site 3: <b>pit</b>', kind: 'new' }]))",
        list(OBUASI),
    )
    marker = page.get_by_role("button", name="Site 3: <b>pit</b>")
    marker.click()
    marker.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("heard.marker") == [[3], [3]]
    assert page.evaluate("heard.click") == []
    page.evaluate("bridge.selectMarker(chart, 3)")
    expect(marker).to_have_attribute("aria-pressed", "true")


def test_the_theme_changes_colours_and_keeps_data_overlay_and_markers(page: Page) -> None:
    go(page, *OBUASI, 13)
    settle(page, "(text) => bridge.setData(chart, 'chip', text)", collection(CHIP, working=True))
    settle(
        page,
        "(corners) => bridge.addImage(chart, 'composite', new Uint8Array(16).fill(255), 2, 2, corners, 'chip-spot')",
        json.dumps(CHIP[:4]),
    )
    page.evaluate(
        "([lon, lat]) => bridge.setMarkers(chart, JSON.stringify("
        "[{ id: 1, lon, lat, text: '1', label: 'Site 1', kind: 'new' }]))",
        list(OBUASI),
    )
    away = (OBUASI[0] + 0.025, OBUASI[1] + 0.012)
    light = color_at(page, *away)
    settle(page, "() => bridge.setStyleTheme(chart, 'dark')")
    assert sum(light) > 3 * 200
    assert sum(color_at(page, *away)) < 3 * 60
    assert drawn(page, "chip-working") > 0
    assert drawn(page, "chip") == 0
    assert color_at(page, OBUASI[0] - 0.003, OBUASI[1] + 0.002) == [255, 255, 255]
    expect(page.get_by_role("button", name="Site 1")).to_be_visible()


def test_an_overlay_keeps_its_pixels_square_and_north_up(page: Page) -> None:
    go(page, *OBUASI, 13)
    pixels = [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 0, 255]
    settle(
        page,
        "([pixels, corners]) => bridge.addImage(chart, 'composite', Uint8Array.from(pixels), 2, 2, corners,"
        " 'chip-spot')",
        [pixels, json.dumps(CHIP[:4])],
    )
    (west, north), (east, _), (_, south), _ = CHIP[:4]
    # Close to the middle, where smoothing would mix the four.
    near_x, near_y = (east - west) * 0.04, (north - south) * 0.04
    lon, lat = (west + east) / 2, (north + south) / 2
    assert color_at(page, lon - near_x, lat + near_y) == [255, 0, 0]
    assert color_at(page, lon + near_x, lat + near_y) == [0, 255, 0]
    assert color_at(page, lon - near_x, lat - near_y) == [0, 0, 255]
    assert color_at(page, lon + near_x, lat - near_y) == [255, 255, 0]
    settle(page, "() => bridge.removeImage(chart, 'composite')")
    assert page.evaluate("chart.map.getSource('composite') === undefined")


def test_a_backdrop_replaces_the_land_and_names_its_source(page: Page) -> None:
    go(page, *OBUASI, 9)
    tile = page.evaluate(
        """() => {
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 256;
            const context = canvas.getContext("2d");
            context.fillStyle = "#f00";
            context.fillRect(0, 0, 256, 256);
            return canvas.toDataURL();
        }""",
    )
    page.route("**/tiles/**", lambda route: route.fulfill(body=base64.b64decode(tile.split(",")[1])))
    settle(page, "(url) => bridge.setBackdrop(chart, url, 'Somebody, CC BY')", f"{page.url}/tiles/{{z}}/{{x}}/{{y}}")
    expect(page.locator(".chart-attribution")).to_contain_text("Somebody, CC BY")
    assert drawn(page, "ghana") == 0
    assert drawn(page, "town-names") > 0
    settle(page, "() => bridge.setBackdrop(chart, null, '')")
    expect(page.locator(".chart-attribution")).not_to_contain_text("Somebody")
    assert drawn(page, "ghana") > 0
