"""Which classes of outlines are membrane, regions, or neither."""

import pytest

from membrane_xai.annotations import Annotation
from membrane_xai.annotations._classes import (
    is_core,
    is_region_class,
    membrane_classes,
    region_classes,
)
from membrane_xai.errors import InvalidInputError

# Names that QuPath gives by default, that its users give, and that other tools write.
REGIONS = [
    "Region*", "Ignore*", "Artefact*", "Background*", "Image", "Tissue", "tissue", "TISSUE 2",
    "Tissue area", "Whole tissue", "Tissue: Tumor", "ROI", "ROI 3", "roi_7", "Rois", "Region 1",
    "Region of interest", "TMA core", "TMACore", "Core", "Background", "Annotation area",
    "annotation", "Ignore", "ignored", "Exclude", "Artifact", "FOV", "Field of view",
    "Analysis area", "Bounding box", "Tumor: Ignore*", "Anything*", "whitespace",
]  # fmt: skip
OBJECTS = [
    None, "Membrane", "membranes", "Membran", "Tumor", "Stroma", "Immune cells", "Necrosis",
    "Other", "Positive", "Negative", "1+", "Tumor: 3+", "Cell", "Score", "Regional lymph node",
    "Tissue membrane", "Imaged cells", "1486",
]  # fmt: skip


@pytest.mark.parametrize("name", REGIONS)
def test_regions(name):
    assert is_region_class(name)


@pytest.mark.parametrize("name", OBJECTS)
def test_objects(name):
    assert not is_region_class(name)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], ()),
        ([None], (None,)),
        (["Tumor"], ("Tumor",)),
        (["Tumor", "Tissue", "Ignore*"], ("Tumor",)),
        (["Membrane", "Tissue", "Ignore*", "TMA core"], ("Membrane",)),
        (["Membrane", "Tumor", "Stroma", None], ("Membrane",)),
        (["weak membrane", "Membrane: 3+", "Cytoplasm"], ("Membrane: 3+", "weak membrane")),
        (["no membrane", "Membrane"], ("Membrane",)),
        (["non-membranous", "complete"], None),
        ([None, "Tissue", "Region*"], (None,)),
        (["1+", "2+", "3+"], ("1+", "2+", "3+")),
        (["Tumor: 1+", "Tumor", "Tumor: 3+"], ("Tumor", "Tumor: 1+", "Tumor: 3+")),
        (["Tumor: 1+", "Stroma: 1+"], None),
        (["Tumor", "Stroma"], None),
        (["Positive", "Negative"], None),
        ([None, "Tumor"], None),
        (["Tissue"], None),
        (["Tissue", "Ignore*"], None),
    ],
)
def test_what_is_membrane(present, expected):
    if expected is None:
        with pytest.raises(InvalidInputError, match="there are outlines of"):
            membrane_classes(present)
    else:
        assert membrane_classes(present) == expected


def test_a_class_that_is_known_to_be_something_else_is_no_membrane():
    assert membrane_classes([None, "Tumor"], ["Tumor"]) == (None,)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], ()),
        (["Membrane", "Tissue", "Ignore*"], ("Tissue",)),
        (["Region*", "Tumor"], ("Region*",)),
        (["ROI 1", "ROI 2", None], ("ROI 1", "ROI 2")),
        (["Tumor", "Ignore*", "Background"], ("Tumor",)),
        ([None], (None,)),
        (["Tumor", "Stroma"], None),
        (["Ignore*"], None),
        (["Membrane"], None),
        (["Membrane", "Tumor"], ("Tumor",)),
        (["Membrane", None], None),
        (["Tumor", None], ("Tumor",)),
    ],
)
def test_what_is_the_region(present, expected):
    if expected is None:
        with pytest.raises(InvalidInputError, match="none of a class called tissue or region"):
            region_classes(present)
    else:
        assert region_classes(present) == expected


@pytest.mark.parametrize(
    ("told", "core"),
    [
        ({"properties": {"objectType": "tmaCore"}}, True),
        ({"properties": {"object_type": "tma_core"}}, True),
        ({"properties": {"type": "tmaCore"}}, True),
        ({"id": "TMACoreObject"}, True),  # as version 0.2 wrote it
        ({"properties": {"objectType": "annotation"}}, False),
        ({}, False),
    ],
)
def test_cores_are_told_by_their_kind(told, core):
    import shapely

    assert is_core(Annotation(shapely.box(0, 0, 1, 1), **told)) == core
