"""One study for all pages, since none is altered."""

import pytest
from report_studies import SCRIPT, make


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / SCRIPT.replace("/", "")
    make(folder, 6)
    return folder
