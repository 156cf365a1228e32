"""Collect the examples in the pages; the build's own code is not part of the library."""

collect_ignore_glob = ["_build/*", "_extensions/*", "reference/generated/*", "conf.py"]
