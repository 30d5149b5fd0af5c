"""The JSON documents."""


def verdict(*, attention: bool) -> str:
    """Say in one word whether something needs a person."""
    return "attention" if attention else "ok"
