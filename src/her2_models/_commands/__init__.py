"""Sub-commands of ``her2``, a module each."""
