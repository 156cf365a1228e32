"""Every public name has a page, and a docstring that says what goes in and what comes out."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import her2_models
import membrane_xai

validate = pytest.importorskip("numpydoc.validate").validate
ModuleAnalyzer = pytest.importorskip("sphinx.pycode").ModuleAnalyzer
NumpyDocString = pytest.importorskip("numpydoc.docscrape").NumpyDocString

ROOT = Path(__file__).parents[2]
PACKAGES = ("membrane_xai", "her2_models")
CHECKS = {
    "GL01",  # summary begins on the first line
    "GL03",  # no double blank lines
    "GL06",  # sections that numpydoc knows
    "GL07",  # sections in order
    "GL08",  # a docstring at all
    "SS02",  # summary begins with a capital
    "SS03",  # summary ends with a period
    "PR01",  # every parameter is documented
    "PR02",  # nothing else is
    "RT01",  # what is returned
}


def public_modules():
    for package in (membrane_xai, her2_models):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            parts = found.name.split(".")
            if not any(part.startswith("_") for part in parts):
                yield found.name


MODULES = sorted(public_modules())


def documented_modules():
    """Read the list in docs/conf.py, which cannot be imported outside a build."""
    text = (ROOT / "docs" / "conf.py").read_text()
    listed = re.search(r"documented_modules = \[(.*?)\]", text, re.DOTALL)
    return re.findall(r'"([\w.]+)"', listed[1])


def test_every_public_module_is_checked_by_the_build():
    without_names = {"her2_models", "her2_models.configs", "membrane_xai.integrations"}
    former_paths = {"membrane_xai.report"}  # of membrane_xai.tables, whose names it has
    assert set(documented_modules()) == set(MODULES) - without_names - former_paths


@pytest.mark.parametrize("name", documented_modules())
def test_docstrings_say_what_goes_in_and_out(name):
    module = importlib.import_module(name)
    problems = [
        problem
        for public in module.__all__
        for problem in problems_of(name, public, getattr(module, public))
    ]
    assert not problems, "\n".join(problems)


def problems_of(module, public, value):
    """Yield what numpydoc finds in a function, or in a class and its public methods."""
    if not callable(value) or not getattr(value, "__module__", "").startswith(PACKAGES):
        return
    if not inspect.isclass(value):
        yield from found_in(f"{module}.{public}")
        return
    documented = attributes(value) if is_record(value) else set()
    yield from found_in(f"{module}.{public}", documented, of_protocol=is_protocol(value))
    for name, member in vars(value).items():
        if not name.startswith("_") and inspect.isfunction(member) and is_own(value, name):
            yield from found_in(f"{module}.{public}.{name}")


def is_record(value):
    return dataclasses.is_dataclass(value) or hasattr(value, "_fields")


def is_protocol(value):
    return getattr(value, "_is_protocol", False)


def is_own(value, name):
    """Tell a class's own methods from those it overrides: the framework documents the latter."""
    outside = (base for base in value.__mro__ if not base.__module__.startswith(PACKAGES))
    return not any(name in vars(base) for base in outside)


def attributes(value):
    """Return the documented fields of a record: in its docstring, or each in one of its own."""
    listed = NumpyDocString(inspect.getdoc(value))["Attributes"]
    described = {name for attribute in listed for name in attribute.name.split(", ")}
    comments = ModuleAnalyzer.for_module(value.__module__).find_attr_docs()
    return described | {name for owner, name in comments if owner == value.__name__}


def found_in(name, documented=frozenset(), *, of_protocol=False):
    found = validate(name)
    for code, text in found["errors"]:
        missing = set(re.findall(r"'([a-z*]\w*)'", text)) if code == "PR01" else set()
        said = code == "RT01" and found["docstring"].lstrip().startswith("Return ")
        there = code == "PR01" and (of_protocol or missing <= documented)
        if code in CHECKS and not said and not there:
            yield f"{name}: {code} {text}"
