"""How ``membrane-xai mask`` names what it writes, by which others find it again."""

__all__ = ["ENDINGS", "MARK", "RECORD", "TABLE"]

MARK = ".mask"
"""What stands behind the name of an image, before the suffix."""
ENDINGS = {"png": f"{MARK}.png", "ome-tiff": f"{MARK}.ome.tif", "geojson": f"{MARK}.geojson"}
"""Of the masks of an image, by format."""
RECORD = f"{MARK}.json"
"""Of the record that an image is done."""
TABLE = "masks.csv"
"""The table of all images."""
