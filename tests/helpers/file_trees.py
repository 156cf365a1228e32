"""Empty files in folders."""


def touch(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()
