"""What the bare page does: import the same packages, and say so."""

import numpy as np
import PIL.Image
import shapely
import utm
from pyscript import document

names = ", ".join(module.__name__ for module in (np, PIL.Image, shapely, utm))
document.getElementById("result").textContent = names
document.body.dataset.ready = ""
