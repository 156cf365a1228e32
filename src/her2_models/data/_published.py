"""Published numbers of images of each score, of BCI and HER2-IHC-40x."""

__all__ = ["PUBLISHED"]

PUBLISHED = {
    ("bci", "train"): (202, 919, 1697, 1078),
    ("bci", "test"): (38, 235, 446, 258),
    # The row sums of the authors' confusion matrix on the test patches; no counts of train or of
    # the WSI variant are published with it.
    ("her2-ihc-40x-patch", "test"): (758, 538, 226, 678),
}
"""Counts of 0, 1+, 2+ and 3+ by source and split."""
