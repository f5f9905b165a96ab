"""What can go wrong, one class for each thing that a caller can do something about."""


class GalamseyError(Exception):
    """Base of every expected failure; its text is fit to be shown to the person at the page."""


class ArchiveError(GalamseyError):
    """A zip archive is damaged, or unpacks to more than it may."""


class CoordinateError(GalamseyError):
    """A typed place could not be read as a coordinate, or lies where no Sentinel-2 grid is."""


class CatalogueError(GalamseyError):
    """The catalogue did not answer, or answered something that is not STAC."""


class NoSceneError(GalamseyError):
    """The catalogue answered, and holds no scene for this place and these dates."""


class RegionError(GalamseyError):
    """An area, or a region in a file, cannot be used."""


class RasterError(GalamseyError):
    """A band could not be read: missing, cut short or not the raster that the item promises."""


class UnreachableError(RasterError):
    """The host of the bands did not answer, time after time: trying its other files is of no use."""


class NoUsableImageError(GalamseyError):
    """Scenes exist, but none shows the ground of this chip well enough to ask the model."""


class PassingError(GalamseyError):
    """A host failed in a way that a later attempt may not meet; ``retry_after_s`` is the wait it asked for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LockdownError(GalamseyError):
    """Lockdown is on, and the request would have left the device."""


class ModelOutputError(GalamseyError):
    """The model answered text that holds no list of boxes. Never to be read as "no mining"."""


class SourceError(GalamseyError):
    """What was typed as a model's host or revision is none."""


class StorageError(GalamseyError):
    """Model files could not be fetched, kept or read; ``name`` is the cause that the files worker gave."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class EngineError(GalamseyError):
    """The model engine failed; ``name`` is the cause that the engine gave."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class ImageFileError(GalamseyError):
    """An own file cannot be used: not an image that can be read here, damaged, or unsafe."""


class FindingError(GalamseyError):
    """A kept finding or a backup of findings is not what this program writes, or could not be kept."""


class LayerError(GalamseyError):
    """A map layer of the person's own cannot be read."""
