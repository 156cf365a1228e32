"""Rows made up for the series and figures of a page."""

from membrane_xai.html_report._series import summaries_of


def row(key, method="m", label=None, toward_ideal=0.5, group=None, **more):
    return {"id": key, "group": group, "method": method, "class": label, "map": 0.4, "chance": 0.1,
            "ideal": 0.7, "toward_ideal": toward_ideal, "status": "ok", "ec": 0.9, "key": key,
            **more}  # fmt: skip


def summed(series):
    return summaries_of(series, draws=10_000, seed=0)
