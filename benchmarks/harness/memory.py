"""The peak of a process's memory by the kernel's count; Linux."""

from pathlib import Path

_KIBIBYTE = 1024


def start_of_peak() -> int:
    """Let the peak start anew, and return the bytes that are resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def peak() -> int:
    """Return the most bytes resident since :func:`start_of_peak`.

    getrusage would not do: a process inherits the peak of the one that started it.
    """
    return _resident("VmHWM")


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return int(found[name].split()[0]) * _KIBIBYTE
