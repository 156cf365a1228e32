"""XML of ImageScope, HALO and ASAP: shapes, holes, classes and colours, and what is refused."""

import gzip
import math

import pytest

from membrane_xai.annotations import find_outlines, rasterize, read_annotations
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

# As ImageScope 12 writes it: a layer without a name, whose attribute says what it is, and one with.
IMAGESCOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Annotations MicronsPerPixel="0.252000">
 <Annotation Id="1" Name="" ReadOnly="0" Type="4" LineColor="65280" Visible="1" MarkupImagePath="">
  <Attributes><Attribute Name="Description" Id="0" Value="Tumor"/></Attributes>
  <Regions>
   <RegionAttributeHeaders>
    <AttributeHeader Id="9999" Name="Region" ColumnWidth="-1"/>
   </RegionAttributeHeaders>
   <Region Id="1" Type="0" Zoom="0.02" Selected="0" Length="40" Text="" NegativeROA="0" Analyze="1">
    <Attributes/>
    <Vertices>
     <Vertex X="0" Y="0" Z="0"/><Vertex X="10" Y="0" Z="0"/><Vertex X="10" Y="10" Z="0"/>
     <Vertex X="0" Y="10" Z="0"/>
    </Vertices>
   </Region>
   <Region Id="2" Type="0" NegativeROA="1">
    <Vertices><Vertex X="2" Y="2"/><Vertex X="6" Y="2"/><Vertex X="6" Y="6"/><Vertex X="2" Y="6"/>
     <Vertex X="2" Y="2"/></Vertices>
   </Region>
   <Region Id="3" Type="0" Text="island" NegativeROA="0">
    <Vertices><Vertex X="3" Y="3"/><Vertex X="5" Y="3"/><Vertex X="5" Y="5"/><Vertex X="3" Y="5"/>
    </Vertices>
   </Region>
  </Regions>
  <Plots/>
 </Annotation>
 <Annotation Id="2" Name="Shapes" LineColor="255">
  <Regions>
   <Region Id="1" Type="1"><Vertices><Vertex X="20" Y="0"/><Vertex X="24" Y="0"/>
    <Vertex X="24" Y="3"/><Vertex X="20" Y="3"/></Vertices></Region>
   <Region Id="2" Type="2"><Vertices><Vertex X="30" Y="0"/><Vertex X="34" Y="2"/></Vertices>
   </Region>
   <Region Id="3" Type="4"><Vertices><Vertex X="0" Y="20"/><Vertex X="3" Y="24"/></Vertices>
   </Region>
   <Region Id="4" Type="5"><Vertices><Vertex X="7" Y="8.5"/></Vertices></Region>
  </Regions>
 </Annotation>
</Annotations>"""

HALO = """<Annotations>
  <Annotation LineColor="65535" Name="Layer 1" Visible="True">
    <Regions>
      <Region Type="Polygon" HasEndcaps="0" NegativeROA="0"><Vertices>
        <V X="0" Y="0" /><V X="8" Y="0" /><V X="8" Y="8" /><V X="0" Y="8" /><V X="0" Y="0" />
      </Vertices><Comments /></Region>
      <Region Type="Rectangle" HasEndcaps="0" NegativeROA="1"><Vertices>
        <V X="6" Y="6" /><V X="10" Y="12" />
      </Vertices></Region>
      <Region Type="Ellipse" HasEndcaps="0" NegativeROA="0"><Vertices>
        <V X="20" Y="20" /><V X="24" Y="26" />
      </Vertices></Region>
      <Region Type="Ruler" HasEndcaps="1" NegativeROA="0"><Vertices>
        <V X="0" Y="0" /><V X="3" Y="4" />
      </Vertices></Region>
      <Region Type="Pin" HasEndcaps="0" NegativeROA="0"><Vertices><V X="1" Y="2" /></Vertices>
      </Region>
    </Regions>
  </Annotation>
</Annotations>"""

ASAP = """<?xml version="1.0"?>
<ASAP_Annotations>
  <Annotations>
    <Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="healthy glands" Color="#f96400">
      <Coordinates>
        <Coordinate Order="2" X="4" Y="4"/><Coordinate Order="0" X="0" Y="0"/>
        <Coordinate Order="1" X="4" Y="0"/><Coordinate Order="10" X="-1" Y="2"/>
        <Coordinate Order="9" X="0" Y="4"/>
      </Coordinates>
    </Annotation>
    <Annotation Name="a" Type="Spline" PartOfGroup="None" Color="#000000"><Coordinates>
      <Coordinate Order="0" X="0,5" Y="0"/><Coordinate Order="1" X="2,5" Y="0"/>
      <Coordinate Order="2" X="2,5" Y="2"/></Coordinates></Annotation>
    <Annotation Name="b" Type="Rectangle" PartOfGroup="None"><Coordinates>
      <Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="2" Y="0"/>
      <Coordinate Order="2" X="2" Y="3"/><Coordinate Order="3" X="0" Y="3"/></Coordinates>
    </Annotation>
    <Annotation Name="c" Type="Dot" PartOfGroup="cells"><Coordinates>
      <Coordinate Order="0" X="5" Y="6"/></Coordinates></Annotation>
    <Annotation Name="d" Type="PointSet" PartOfGroup="cells"><Coordinates>
      <Coordinate Order="0" X="5" Y="6"/><Coordinate Order="1" X="7" Y="8"/></Coordinates>
    </Annotation>
    <Annotation Name="e" Type="Measurement" PartOfGroup="None"><Coordinates>
      <Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="3" Y="4"/></Coordinates>
    </Annotation>
  </Annotations>
  <AnnotationGroups>
    <Group Name="healthy glands" PartOfGroup="None" Color="#f96400"><Attributes/></Group>
  </AnnotationGroups>
</ASAP_Annotations>"""


def imagescope(regions, layer='Name="A"'):
    inner = f"<Annotation {layer}><Regions>{regions}</Regions></Annotation>"
    return f"<Annotations>{inner}</Annotations>"


def region(points, kind="0", more=""):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in points)
    return f'<Region Id="1" Type="{kind}" {more}><Vertices>{vertices}</Vertices></Region>'


SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]


def test_imagescope():
    area, island, box, ellipse, line, point = read_annotations(IMAGESCOPE)
    assert (area.classification, area.color, area.id) == ("Tumor", (0, 255, 0), "1")
    assert (area.geometry.area, island.geometry.area) == (100 - 16, 4)
    assert (island.name, island.classification) == ("island", "Tumor")
    assert rasterize([area, island], (10, 10)).sum() == 100 - 16 + 4
    assert (box.geometry.bounds, box.geometry.area) == ((20, 0, 24, 3), 12)
    assert (box.classification, box.color) == ("Shapes", (255, 0, 0))  # Windows has red lowest
    assert ellipse.geometry.bounds == (30, 0, 34, 2)
    assert ellipse.geometry.area == pytest.approx(math.pi * 2 * 1, rel=1e-3)
    assert line.geometry.length == 5
    assert point.geometry.coords[0] == (7, 8.5)


def test_halo():
    area, ellipse, ruler, pin = read_annotations(HALO)
    assert (area.classification, area.color) == ("Layer 1", (255, 255, 0))
    assert area.geometry.area == 64 - 4
    assert ellipse.geometry.area == pytest.approx(math.pi * 2 * 3, rel=1e-3)
    assert (ruler.geometry.length, pin.geometry.coords[0]) == (5, (1, 2))


def test_asap():
    area, spline, box, dot, dots, measured = read_annotations(ASAP)
    assert (area.classification, area.color) == ("healthy glands", (249, 100, 0))
    assert list(area.geometry.exterior.coords)[:-1] == [(0, 0), (4, 0), (4, 4), (0, 4), (-1, 2)]
    assert (spline.classification, spline.geometry.area) == (None, 2)  # with decimal commas
    assert box.geometry.area == 6
    assert (dot.classification, dot.geometry.coords[0]) == ("cells", (5, 6))
    assert len(dots.geometry.geoms) == 2
    assert measured.geometry.length == 5


@pytest.mark.parametrize("suffix", ["xml", "annotations", "xml.gz"])
def test_files_of_xml(tmp_path, suffix):
    path = tmp_path / f"slide.{suffix}"
    data = IMAGESCOPE.encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    expected = [one.geometry for one in read_annotations(IMAGESCOPE)]
    assert [one.geometry for one in read_annotations(path)] == expected
    if not suffix.endswith("gz"):
        assert find_outlines(tmp_path) == {"slide": path}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_of_xml(tmp_path, encoding):
    text = imagescope(region(SQUARE), 'Name="Tumör"')
    declared = "" if encoding.startswith("utf") else f'<?xml version="1.0" encoding="{encoding}"?>'
    path = tmp_path / "a.xml"
    path.write_bytes((declared + text).encode(encoding))
    assert read_annotations(path)[0].classification == "Tumör"


@pytest.mark.parametrize(
    ("layer", "attributes", "more", "classification"),
    [
        ('Name="A"', '<Attribute Name="Description" Value="B"/>', 'Text="C"', "A"),
        ('Name=" "', '<Attribute Name="Description" Value="B"/>', 'Text="C"', "B"),
        ("", '<Attribute Name="Sclerosis" Value=""/>', 'Text="C"', "Sclerosis"),
        ("", '<Attribute Name="Description" Value=""/>', 'Text="C"', "C"),
        ("", "", "", None),
    ],
)
def test_where_imagescope_says_the_class(layer, attributes, more, classification):
    text = imagescope(region(SQUARE, more=more), layer)
    text = text.replace("<Regions>", f"<Attributes>{attributes}</Attributes><Regions>")
    assert read_annotations(text)[0].classification == classification


def test_a_hole_is_cut_out_of_its_own_layer_alone():
    hole = region([(1, 1), (3, 1), (3, 3), (1, 3)], more='NegativeROA="1"')
    first = f'<Annotation Name="A"><Regions>{region(SQUARE)}{hole}</Regions></Annotation>'
    second = f'<Annotation Name="B"><Regions>{region(SQUARE)}</Regions></Annotation>'
    found = read_annotations(f"<Annotations>{first}{second}</Annotations>")
    assert [(one.classification, one.geometry.area) for one in found] == [("A", 12), ("B", 16)]


def test_what_covers_nothing_is_left_out_and_said():
    hole = [(9, 9), (10, 9), (10, 10)]
    cases = {
        region([]): "has no coordinates",
        region([(1, 1), (2, 2)]): "has a ring of 2 points",
        region([(1, 1), (2, 2), (3, 3)]): "it has no area",
        region([(1, 1)], "4"): "has a line of 1 points",
        region([(1, 1), (5, 5)], "3"): "is an arrow, which has no area",
        region([(1, 1), (1, 5)], "2"): "it has no area",
        region(hole, more='NegativeROA="1"'): "is negative, and cuts nothing out",
    }
    for one, reason in cases.items():
        with pytest.warns(MembraneXAIWarning) as told:
            [found] = read_annotations(imagescope(region(SQUARE) + one))
        assert found.geometry.area == 16
        assert "left out 1 of 2 objects: Annotation 1, Region 2 (id '1')" in str(told[0].message)
        assert reason in str(told[0].message)
        with pytest.raises(InvalidInputError, match=reason):
            read_annotations(imagescope(one))
    whole = region([(-1, -1), (9, -1), (9, 9), (-1, 9)], more='NegativeROA="1"')
    with pytest.warns(MembraneXAIWarning, match="Region 1 .* lies wholly in a negative region"):
        assert read_annotations(imagescope(region(SQUARE) + whole)) == []


def test_no_regions_are_no_error():
    assert read_annotations("<Annotations/>") == []
    assert read_annotations(imagescope("")) == []
    assert read_annotations("<ASAP_Annotations><Annotations/></ASAP_Annotations>") == []


BOMB = "<!DOCTYPE a [{}]><Annotations>&b;</Annotations>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (imagescope(region(SQUARE, "7")), "Region 1 (id '1') has Type '7'; it takes 0 to 5, or"),
        (imagescope(region([("a", 0), *SQUARE])), "has X 'a'; it takes a number"),
        (imagescope(region([("nan", 0), *SQUARE])), "has coordinates that are NaN or infinite"),
        (imagescope(region(SQUARE))[:-14], "the annotations are not XML: no element found"),
        ("<Annotations></Annotation>", "the annotations are not XML: mismatched tag"),
        ("<annotations><ndpviewstate/></annotations>", "XML of <annotations> (Hamamatsu's NDPA"),
        ("<annotation><object/></annotation>", "XML of <annotation> (of PASCAL VOC)"),
        ("<rows/>", "XML of <rows>; of XML those of ImageScope, HALO and ASAP are read: export"),
        ("<Annotations><Slide/></Annotations>", "XML of <Annotations>; of XML those of ImageScope"),
        ('<?xml version="1.0" encoding="none"?><a/>', "the annotations are not XML: unknown enc"),
        (BOMB.format('<!ENTITY a "x"><!ENTITY b "&a;&a;">'), "XML that declares entities"),
        (BOMB.format('<!ENTITY b SYSTEM "file:///etc/passwd">'), "XML that declares entities"),
        (BOMB.format('<!ENTITY % b SYSTEM "http://x/y"> %b;'), "XML that declares entities"),
    ],
)
def test_xml_that_is_refused(text, message):
    with pytest.raises(InvalidInputError) as refused:
        read_annotations(text, format="xml")
    assert message in str(refused.value)


def test_deep_and_long_xml(tmp_path):
    deep = "<Annotations>" + "<a>" * 100_000 + "</a>" * 100_000 + "</Annotations>"
    with pytest.raises(InvalidInputError, match="XML of <Annotations>; of XML"):
        read_annotations(deep)
    with pytest.raises(InvalidInputError, match="more than max_bytes, 100 bytes"):
        read_annotations(deep, max_bytes=100)
