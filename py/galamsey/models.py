"""The models that can be asked, and how their published files must be used."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from galamsey.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SESSIONS: Final = ("vision_encoder", "embed_tokens", "decoder_model_merged")
"""The three ONNX sessions of an ``lfm2_vl`` export."""

CONFIG_FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

SUFFIX: Final = {"fp32": "", "fp16": "_fp16", "q4f16": "_q4f16", "q4": "_q4"}
"""How transformers.js names the file of a dtype."""

MIX: Final = "+"
"""In a build's name stands before the dtype of its vision encoder, where that differs from the others'."""

PROCESSOR: Final[Mapping[str, object]] = {"do_resize": False, "max_num_patches": 256}
"""Set on the loaded image processor.

The published configuration lets the processor enlarge chips: prompts then grow from about 285 to about 653 tokens and
real mines come back as ``[]``. 256 patches hold a whole chip; the published 1024 only add padding.
"""


def session_dtypes(build: str) -> dict[str, str]:
    """Return each session's dtype in a build: ``fp16``, or ``q4f16+fp16`` for one whose pictures are seen in 16 bits.

    The vision encoder holds a fifth of the full model's numbers: not rounding it to 4 bits costs 0.14 GB.
    """
    decoder, _, vision = build.partition(MIX)
    return dict.fromkeys(SESSIONS, decoder) | {"vision_encoder": vision or decoder}


def build_name(build: str) -> str:
    """Name a build for people."""
    decoder, _, vision = build.partition(MIX)
    return f"{decoder}, pictures in {vision}" if vision else decoder


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model, its files and what the person must know of it."""

    key: str
    name: str
    """Short name to show."""
    id: str
    base_url: str
    """Folder of its files, ending in a slash; relative to the page for what comes with it."""
    dtypes: tuple[str, ...]
    """The builds that its repository offers, best first; ``session_dtypes`` tells what they are made of."""
    external_data: bool
    """True where the weights lie beside the graphs as ``.onnx_data``."""
    download_mb: float
    """About how much is fetched once; 0 where it comes with the page."""
    honesty: str
    """What must be said wherever it is chosen."""
    vocabulary: int
    """Tokens that it chooses from."""
    numbers_per_token: int
    """Numbers that its decoder remembers of each token."""
    licence: str = ""
    manifest_url: str = ""
    """Where its host lists its files with their hashes; empty where it may hold a manifest.json beside them."""
    pinned_url: str = ""
    """Its folder in one revision, ``{revision}`` standing for it; empty where the host keeps no revisions."""
    possible_dtypes: tuple[str, ...] = ()
    """What its repository may offer beside ``dtypes``: asked before loading; best first, with ``dtypes`` among them."""
    largest_weight: int = 0
    """Numbers in its largest single weight, which a graphics buffer must hold."""
    numbers: int = 0
    """Numbers in all its weights, about; 0 for a model that fits everywhere."""
    vision_numbers: int = 0
    """Of these, those of the vision encoder."""
    processor: Mapping[str, object] = field(default_factory=lambda: dict(PROCESSOR))

    def graphs(self, build: str) -> tuple[str, ...]:
        """Return the paths of the three sessions."""
        return tuple(f"onnx/{session}{SUFFIX[dtype]}.onnx" for session, dtype in session_dtypes(build).items())

    def files(self, build: str) -> tuple[str, ...]:
        """Return the paths that loading this build reads."""
        graphs = self.graphs(build)
        data = [f"{graph}_data" for graph in graphs] if self.external_data else []
        return (*CONFIG_FILES, *graphs, *data)


def fingerprint(files: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of the list of a model's files, given as path and SHA-256.

    The list is what ``sha256sum`` writes of these files in the order of their paths, so that anybody can repeat it.
    """
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


DEMO: Final = Model(
    key="demo",
    name="Demo model",
    id="demo",
    base_url="models/demo/",
    dtypes=("fp32",),
    external_data=False,
    vocabulary=1664,
    numbers_per_token=3 * 2 * 4 * 32,  # layers with attention, keys and values, heads, their width
    download_mb=0,
    honesty="Trained on generated scenes, for practice only. Its answers about real places mean nothing.",
)

FULL: Final = Model(
    key="full",
    name="galamsey-v9-e3",
    id="samwell/galamsey-v9-e3-onnx",
    base_url="https://huggingface.co/samwell/galamsey-v9-e3-onnx/resolve/main/",
    manifest_url="https://huggingface.co/api/models/samwell/galamsey-v9-e3-onnx/revision/main?blobs=true",
    pinned_url="https://huggingface.co/samwell/galamsey-v9-e3-onnx/resolve/{revision}/",
    dtypes=("fp16",),
    possible_dtypes=("fp16", "fp32", "q4f16+fp16", "q4+fp16", "q4+fp32", "q4f16", "q4"),
    largest_weight=65_536 * 1024,
    numbers=500_000_000,
    vision_numbers=95_000_000,
    vocabulary=65_536,
    numbers_per_token=6 * 2 * 8 * 64,
    external_data=True,
    download_mb=1000,
    honesty="Finds suspected mining, and misses some: published pixel recall 0.592, pixel IoU 0.332 on SmallMinesDS.",
    licence="LFM Open License v1.0",
)

MODELS: Final = (DEMO, FULL)


HUB: Final = "https://huggingface.co"
MAIN: Final = "main"


THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1"})
"""Asked over http too: nobody is on the way."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where models that do not come with the page are fetched."""

    address: str = HUB
    """A hub, which keeps repositories and revisions; or, ending in a slash, the folder that holds the files."""
    revision: str = MAIN
    """A branch, a tag or a commit of the repository."""

    @property
    def is_folder(self) -> bool:
        """Say whether the address is the files' own folder."""
        return self.address.endswith("/")


def read_source(address: str, revision: str) -> Source:
    """Read what the person typed; empty means the default. Raises SourceError."""
    address = address.strip() or HUB
    revision = revision.strip() or MAIN
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise SourceError(f"expected an address such as {HUB}, got {address[:80]!r}") from error
    if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
        raise SourceError(
            f"expected an address with https, got {address[:80]!r}: this page may ask no host over http, where "
            f"anyone on the way could read and change what comes"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SourceError(f"expected an address such as {HUB}, got {address[:80]!r}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", revision) or ".." in revision:
        raise SourceError(f"expected a branch, tag or commit such as {MAIN}, got {revision[:80]!r}")
    if parts.path.strip("/"):
        return Source(address=address.rstrip("/") + "/", revision=revision)
    return Source(address=address.rstrip("/"), revision=revision)


def located(model: Model, source: Source) -> Model:
    """Return a model as it is fetched from a source; one that comes with the page stays where it is."""
    if "://" not in model.base_url:
        return model
    if source.is_folder:
        return replace(model, base_url=source.address, manifest_url="", pinned_url="")
    revision = quote(source.revision, safe="")
    repository = f"{source.address}/{model.id}/resolve"
    return replace(
        model,
        base_url=f"{repository}/{revision}/",
        manifest_url=f"{source.address}/api/models/{model.id}/revision/{revision}?blobs=true",
        pinned_url=f"{repository}/{{revision}}/",
    )
