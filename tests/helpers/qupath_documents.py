"""Annotations as QuPath writes them, and the pieces they are made of."""

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, **properties):
    return {"type": "Feature", "id": "a1", "geometry": geometry, "properties": properties}


# As QuPath 0.5 writes them: an annotation with a child, a cell with a measurement that is NaN.
QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "6a9b1c0e-64a5-4f1c-8f3c-0a1b2c3d4e5f",
            "geometry": polygon(SQUARE, HOLE),
            "properties": {
                "objectType": "annotation",
                "name": "Region 1",
                "classification": {"names": ["Tumor", "Positive"], "color": [250, 62, 62]},
                "isLocked": True,
                "childObjects": [
                    feature({"type": "Point", "coordinates": [1.5, 2.5]}, objectType="detection")
                ],
            },
        },
        {
            "type": "Feature",
            "geometry": polygon([[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]),
            "nucleusGeometry": polygon([[12, 12], [14, 12], [14, 14], [12, 14], [12, 12]]),
            "properties": {
                "objectType": "cell",
                "classification": {"name": "Membrane", "color": [200, 0, 0]},
                "measurements": {"DAB: Mean": 0.25, "DAB: Min": float("nan")},
            },
        },
    ],
}
