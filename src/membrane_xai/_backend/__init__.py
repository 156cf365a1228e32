"""Array libraries: the one door to them, containers, resampling, ties, statuses, checks."""
