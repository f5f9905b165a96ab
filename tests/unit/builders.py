"""A small world for tests of whole runs: a generated scene, and services that are plain functions."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np

from galamsey.chips import Raster, RasterHeader
from galamsey.errors import RasterError
from galamsey.geo import Grid, PointXY, to_lonlat
from galamsey.models import DEMO
from galamsey.pipeline import Request, Services
from galamsey.planner import Plan
from galamsey.prompts import DESCRIPTION, HIGH_RECALL
from galamsey.protocol import Answer, Answered, Grown
from galamsey.scenes import BANDS, PRACTICE, SCL, Period, Scene
from galamsey.state import ModelStage, ModelState
from tools.landscape.chip import generate_chip

SCENE_PX = 256
CHIP_OFFSET_PX = 64
ORIGIN = PointXY(600_000.0, 700_000.0)
GRID_10M = Grid(epsg=32630, origin=ORIGIN, gsd_m=10.0, width=SCENE_PX, height=SCENE_PX)
GRID_20M = Grid(epsg=32630, origin=ORIGIN, gsd_m=20.0, width=SCENE_PX // 2, height=SCENE_PX // 2)
CHIP_GRID = Grid(
    epsg=32630,
    origin=PointXY(ORIGIN.x + 10 * CHIP_OFFSET_PX, ORIGIN.y - 10 * CHIP_OFFSET_PX),
    gsd_m=10.0,
    width=128,
    height=128,
)
POINT = to_lonlat(PointXY(ORIGIN.x + 1280, ORIGIN.y - 1280), 32630)
"""The middle of the scene, and so of the chip."""

COARSE = frozenset({"swir16", "swir22", SCL})
HEADER_BYTES, WINDOW_BYTES, TILE_BYTES = 100, 5000, 4000

REQUEST = Request(
    point=POINT,
    catalogue=PRACTICE,
    period=Period(since=date(2024, 11, 1), until=date(2025, 3, 31)),
    sensitivity=HIGH_RECALL,
)

PLAN = Plan(device="wasm", dtype="fp32", reason="on the main processor, slower: this browser has no WebGPU")
READY_MODEL = ModelState(model=DEMO, stage=ModelStage.READY, plan=PLAN)

BOXES = '[{"label": "mining_pit", "bbox": [0.25, 0.125, 0.75, 0.5]}, {"label": "pond", "bbox": [0.8, 0.8, 0.9, 0.9]}]'
PROSE = " Two areas of exposed soil.\n"


def scene_of(name: str, day: int = 1, *, cloud_percent: float = 3.0) -> Scene:
    return Scene(
        id=name,
        acquired=datetime(2025, 1, day, 10, 30, tzinfo=UTC),
        platform="generated",
        cloud_percent=cloud_percent,
        baseline=(5, 9),
        boa_offset_applied=None,
        hrefs={key: f"{name}/{key}" for key in (*BANDS, SCL)},
        generated=True,
    )


def answer_of(text: str) -> Answer:
    return Answer(text=text, tokens=(), complete=True, input_tokens=285)


@dataclass(kw_only=True)
class World:
    """What the services find, and what they were asked."""

    scenes: list[Scene]
    cloudy: dict[str, int] = field(default_factory=dict)
    """Rows of cloud in the chip, by scene id."""
    boxes: str = BOXES
    prose: str = PROSE
    broken: frozenset[str] = frozenset()
    """Hrefs that cannot be read."""
    spoiled: dict[str, int] = field(default_factory=dict)
    """A value that stands in every pixel of the bands, by scene id."""
    seed: int = 0
    asked: list[str] = field(default_factory=list)
    """Calls in order: kind and what for."""
    pictures: list[bytes] = field(default_factory=list)
    clock: float = 0.0

    def __post_init__(self) -> None:
        self.generated = generate_chip(self.seed)

    @property
    def offset(self) -> int:
        return self.generated.facts.offset_dn

    def services(self) -> Services:
        return Services(
            search=self.search,
            read_header=self.read_header,
            read_window=self.read_window,
            ask=self.ask,
            seconds=self.seconds,
            breathe=self.breathe,
        )

    async def search(self, catalogue, query):
        self.asked.append(f"search {catalogue.key}")
        self.query = query
        return self.scenes

    async def read_header(self, href):
        if href in self.broken:
            raise RasterError(f"{href} is cut short")
        grid = GRID_20M if href.split("/")[1] in COARSE else GRID_10M
        return RasterHeader(grid=grid, tile_width=64, tile_height=64, nodata=0)

    async def read_window(self, href, window):
        self.asked.append(f"read {href}")
        values = self.raster(href)
        part = values[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
        return Raster(values=part, bytes_read=WINDOW_BYTES, tile_bytes=TILE_BYTES, header_bytes=HEADER_BYTES)

    def raster(self, href: str) -> np.ndarray:
        """Return a whole band: the generated chip in the middle, its edge values around."""
        name, key = href.split("/")
        chip = self.clouds(name) if key == SCL else self.generated.dn[BANDS.index(key)]
        if key != SCL and name in self.spoiled:
            chip = np.full_like(chip, self.spoiled[name])
        whole = np.pad(chip, CHIP_OFFSET_PX, mode="edge")
        return whole[::2, ::2] if key in COARSE else whole

    def clouds(self, name: str) -> np.ndarray:
        scl = np.full((128, 128), 4, np.uint8)
        scl[: self.cloudy.get(name, 0)] = 9
        return scl

    async def ask(self, composites, questions):
        """Answer question by question; what an answer grows by is heard before its end."""
        heard = asyncio.Queue()
        for index, question in enumerate(questions):

            def grow(text, index=index):
                heard.put_nowait(Grown(question=index, text=text))

            answering = asyncio.ensure_future(
                self.generate(composites, question.prompt, question.max_new_tokens, grow),
            )
            answering.add_done_callback(lambda _: heard.put_nowait(None))
            try:
                while (one := await heard.get()) is not None:
                    yield one
                yield Answered(question=index, answer=await answering)
            finally:
                answering.cancel()

    async def generate(self, composites, prompt, max_new_tokens, grow):
        kind = "describe" if prompt == DESCRIPTION else "detect"
        self.asked.append(f"{kind} {max_new_tokens}")
        self.pictures.append(b"".join(composite.pixels.tobytes() for composite in composites))
        text = self.prose if kind == "describe" else self.boxes
        grow(text[: len(text) // 2])
        grow(text)
        return answer_of(text)

    def seconds(self):
        self.clock += 0.25
        return self.clock

    async def breathe(self):
        self.asked.append("breathe")


def entries(count: int) -> str:
    """Return an answer of so many boxes that lie apart."""
    return json.dumps([{"label": "mining_pit", "bbox": [k / count, 0.0, (k + 0.8) / count, 0.5]} for k in range(count)])
