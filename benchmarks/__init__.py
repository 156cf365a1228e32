"""Measurements, a folder for each part of the library; ``python -m benchmarks.masks`` runs one."""
