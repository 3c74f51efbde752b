"""The inventory as files: rendering it as Kapitan does, and finding the line that says a thing."""

from matrixfleet.inventory.render import Rendered, render
from matrixfleet.inventory.source import Key, Said, Source

__all__ = ["Key", "Rendered", "Said", "Source", "render"]
