"""Write a study as one HTML page.

RESULTS is the folder that membrane_xai.evaluate(..., out=RESULTS) or membrane-xai audit kept. The
page has a summary, figures, the images with their maps if the study kept them, the whole table and
where it comes from, in one file that asks nothing of the network. Research use only.

for example:
  membrane-xai report results -o report.html
  membrane-xai report results -o report.html --title "Score-CAM, fold 1" --most 200 --json
"""

import argparse
from pathlib import Path

from membrane_xai._commands.options import count_from
from membrane_xai.tables import json_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``membrane-xai report``."""
    add = parser.add_argument
    add("results", type=Path, metavar="RESULTS", help="folder of the study")
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="the page")
    add("--title", metavar="TEXT", help="heading (default: names the folder)")
    add("--most", type=count_from(0), default=1000, metavar="N",
        help="images in the gallery at most (default: %(default)s)")  # fmt: skip
    add("--json", action="store_true", help="say what was written as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Run ``membrane-xai report``."""
    from membrane_xai.html_report import write_html_report

    path = write_html_report(
        args.results, args.out, title=args.title, command=args.command_line, most=args.most,
        progress=True,
    )  # fmt: skip
    size = path.stat().st_size
    if args.json:
        print(json_text({"report": str(path), "bytes": size}))
    else:
        print(f"{path}: {size / 1e6:.1f} MB")
    return 0
