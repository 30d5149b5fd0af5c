"""The picture of the packages."""

import tomllib
from pathlib import Path

_SETTINGS = Path(__file__).parents[2] / "pyproject.toml"


def floors() -> str:
    """Return the picture of the packages, from the contract that `make lint` checks."""
    settings = tomllib.loads(_SETTINGS.read_text("utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    nodes = [f'    f{number}["{layer}"]' for number, layer in enumerate(layers)]
    arrows = " --> ".join(f"f{number}" for number in range(len(layers)))
    return "\n".join(["```mermaid", "flowchart TB", *nodes, f"    {arrows}", "```"])
