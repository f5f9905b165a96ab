"""A generated landscape of south-west Ghana as Sentinel-2 would see it: for practice, tests and training."""

from tools.landscape.boxes import Box, mask_boxes
from tools.landscape.chip import CHIP_PX, LOOKALIKES, ChipFacts, GeneratedChip, Kind, generate_chip
from tools.landscape.spectra import BANDS

__all__ = ["BANDS", "CHIP_PX", "LOOKALIKES", "Box", "ChipFacts", "GeneratedChip", "Kind", "generate_chip", "mask_boxes"]
