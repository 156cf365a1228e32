"""A table of means as JSON, CSV, a terminal and a page show it."""

import csv
import re

from membrane_xai.tables import cells_text

ON_PAGE = (
    "map", "chance", "ideal", "toward_ideal", "toward_ideal_of_sums", "ec_skill_geometric",
    "ec_skill_photometric", "ec", "ec0",
)  # fmt: skip


def plain(row):
    """Return a row of a CSV in the values that JSON has."""
    words = {"method", "by", "value", "class", "grid", "cam_grid", "p_value_null"}
    return {
        name: text if name in words or name.endswith("_note") else None if not text
        else int(text) if re.fullmatch(r"\d+", text) else float(text)
        for name, text in row.items()
    }  # fmt: skip


def of_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [plain(row) for row in csv.DictReader(file)]


def as_printed(row, name):
    """Return a score of a JSON row as the terminal shows it; None is undefined."""
    value, low, high, note = (row[f"{name}{end}"] for end in ("", "_low", "_high", "_note"))
    if value is None:
        return "undefined"
    if low is None:
        return f"{value:z.3f} [{note}]"
    return f"{value:z.3f} [{low:z.3f}, {high:z.3f}] {note}".strip()


def on_page(row, name):
    """Return the same as a cell of the page: the interval stands below the mean."""
    shown = as_printed(row, name)
    if shown == "undefined":
        return "–"
    found = re.fullmatch(r"(\S+) \[(?:(\S+), (\S+)|(\w+))\] ?(\w*)", shown)
    mean, low, high, withheld, note = found.groups()
    below = withheld or f"{low} to {high} {note}".strip()
    return f"{mean}{below}".replace("-", "−")


def p_of(row):
    p = row["p_value"]
    return "undefined" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def specificity_of(row, control):
    count, untold = (row[f"specificity_{control}_{end}"] for end in ("n", "cannot_tell"))
    shown = f"{as_printed(row, f'specificity_{control}')} of {count}" if count else ""
    told = "" if not untold else f"{untold} cannot tell" if count else "cannot tell"
    return ", ".join(filter(None, (shown, told))) or "undefined"


def assert_page(page, rows):
    """The table of the page has the numbers of rows, in any order, by name."""
    _, *cells = page.rows("Means by method")
    assert len(cells) == len(rows)
    by_name = {line[0]: line[1:] for line in cells}
    for name, row in rows.items():
        scored, *scores = by_name[name]
        assert scored == f"{row['scored']} of {row['rows']}"
        controls = [x for x in row if x.startswith("specificity_") and f"{x}_n" in row]
        shown = [score for score in ON_PAGE if score in row] + controls
        assert scores[: len(shown)] == [on_page(row, score) for score in shown]
        assert scores[len(shown)] == cells_text(row).replace(" um", " \N{MICRO SIGN}m")
        if "p_value" in row:
            p = "–" if row["p_value"] is None else p_of(row)
            below = f"{row['p_value_n']} maps {row['p_value_note']}".strip()
            assert scores[len(shown) + 1] == f"{p}{below}"
    heads, *lines = page.rows("Images by status")
    assert len(lines) == len(rows)
    for line in lines:
        row = rows[line[0]]
        counts = zip(heads[1:], map(int, line[1:]), strict=True)
        assert all(row[head.replace(" ", "_")] == count for head, count in counts)
