"""Sub-commands of ``membrane-xai``, a module or a folder each."""
