"""Plate: one picture of a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plate:
    """One picture of the page.

    Attributes:
        name: File name without its ending.
        png: The picture.
        caption: What it shows.
        wide: Whether it takes the full width.
    """

    name: str
    png: bytes
    caption: str
    wide: bool = False
