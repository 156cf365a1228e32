"""How far work has come: a bar on a terminal, a line now and then elsewhere."""

import sys

import pytest

from membrane_xai._disk import progress as module
from membrane_xai.cli import progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def as_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_short_work_says_nothing_in_a_log(capfd, clock):
    with progress(3) as show:
        for done in range(1, 4):
            clock(9.9)
            show(done, "explaining")
    assert capfd.readouterr() == ("", "")


def test_long_work_says_a_line_now_and_then(capfd, clock):
    with progress(100) as show:
        for done in range(40, 101):  # 39 were done before
            show(done, "explaining")
            clock(10)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 20  # one in three
    assert lines[0] == "explaining: 43 of 100, 10 min left"  # 57 at 10 seconds each
    assert lines[-1] == "explaining: 100 of 100"


def test_a_total_may_be_unknown_and_become_known(capfd, clock):
    with progress() as show:
        show(0, "EC")
        clock(60)
        show(5, "EC")
        clock(60)
        show(10, "EC", 15)
    assert capfd.readouterr().err == "EC: 5\nEC: 10 of 15, 1 min left\n"


def test_bytes_are_megabytes(capfd, clock):
    with progress(4e9, unit="bytes") as show:
        show(1e9, "a.zip")
        clock(60)
        show(2e9, "a.zip")
    assert capfd.readouterr().err == "a.zip: 2000 of 4000 MB, 2 min left\n"


def test_nothing_where_it_is_not_to_be_shown(capfd, clock):
    with progress(10, shown=False) as show:
        clock(100)
        show(1, "explaining")
    assert capfd.readouterr() == ("", "")


def test_of_works_within_each_other_the_outer_one_is_shown(capfd, clock):
    with progress(10) as outer:
        with progress(1000) as inner:
            clock(31)
            inner(1, "inner")
        outer(1, "outer")
        clock(31)
        outer(2, "outer")
    with progress(10) as show:
        clock(31)
        show(5, "next")
    assert [line.split(":")[0] for line in capfd.readouterr().err.splitlines()] == [
        "outer",
        "outer",
        "next",
    ]


def test_one_that_is_not_shown_hides_none(capfd, clock):
    with progress(10, shown=False), progress(10) as show:
        clock(31)
        show(5, "inner")
    assert "inner: 5 of 10" in capfd.readouterr().err


def test_an_error_makes_way_for_the_next(capfd, clock):
    with pytest.raises(KeyboardInterrupt), progress(10):
        raise KeyboardInterrupt
    with progress(10) as show:
        clock(31)
        show(5, "next")
    assert "next: 5 of 10" in capfd.readouterr().err


def test_a_bar_on_a_terminal_vanishes(monkeypatch, capsys):
    as_on_a_terminal(monkeypatch)
    with progress(12) as show:
        show(5, "explaining")
        show(12, "GradCAM")
    out, err = capsys.readouterr()
    assert out == ""
    assert "12/12" in err
    assert "GradCAM" in err
    assert err.endswith("\x1b[2K")  # the line is wiped


def test_a_bar_of_bytes_and_a_total_that_grows(monkeypatch, capsys):
    as_on_a_terminal(monkeypatch)
    with progress(unit="bytes") as show:
        show(1e6, "a.zip", 2e6)
        show(3e6, "a.zip", 4e6)
    assert "3.0/4.0 MB" in capsys.readouterr().err


def test_lines_where_rich_is_missing(clock, monkeypatch, capsys):
    as_on_a_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    with progress(10) as show:
        clock(31)
        show(5, "explaining")
    assert capsys.readouterr().err == "explaining: 5 of 10\n"
