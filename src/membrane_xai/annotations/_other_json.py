"""Name the JSON documents of other programs that are taken for GeoJSON."""

from collections.abc import Mapping
from typing import Any

__all__ = ["other_json"]

_DOCUMENTS = (
    ({"annotations", "images"}, "a COCO data set"),
    ({"annotations", "categories"}, "a COCO data set"),
    ({"shapes", "imagePath"}, "a file of LabelMe"),
    ({"shapes", "imageData"}, "a file of LabelMe"),
    ({"_via_img_metadata"}, "a project of the VGG Image Annotator"),
    ({"nuc"}, "nuclei of HoVer-Net"),
    ({"item", "annotations"}, "a file of Darwin (V7)"),
    ({"collection"}, "an answer of Cytomine's API"),
    ({"elements"}, "annotations of the Digital Slide Archive"),
    ({"annotation", "itemId"}, "annotations of the Digital Slide Archive"),
    ({"objects", "size"}, "a file of Supervisely"),
    ({"version", "createTimestamp", "images"}, "a project of QuPath"),
    ({"row", "parameters"}, "the record of membrane-xai mask, whose outlines are in .mask.geojson"),
    ({"provenance", "rows"}, "a table of results of membrane-xai"),
)
"""Keys of a document, and what it then is; the first that fits."""
_OBJECTS = (
    ({"location", "project"}, "an answer of Cytomine's API"),
    ({"segmentation", "bbox"}, "annotations of a COCO data set"),
    ({"regions", "filename"}, "a file of the VGG Image Annotator"),
)
"""The same of the objects in a list, or of the values of a document."""


def other_json(document: Any) -> str | None:
    """Return what a parsed document is that is no GeoJSON, or None where that is not known."""
    if not isinstance(document, Mapping):
        return None
    keys = set(document)
    known = next((what for wanted, what in (*_DOCUMENTS, *_OBJECTS) if wanted <= keys), None)
    if known is not None:
        return known
    first = next(iter(document.values()), None)
    inner = set(first) if isinstance(first, Mapping) else set()
    return next((what for wanted, what in _OBJECTS if wanted <= inner), None)
