"""A campaign of damage: many damaged files of every kind, and what became of each."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from openmm_cgml.errors import OpenMMCGMLError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target, read_quietly

REFUSED, SAME, SILENT, TRACEBACK, READ = "refused", "same content", "SILENT", "TRACEBACK", "read (a person's file)"


@dataclass
class Campaign:
    """Outcomes by target, and the first cases that went wrong."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """One line per target."""
        columns = (REFUSED, SAME, READ, SILENT, TRACEBACK)
        rows = [("", *columns), *((name, *(str(c[column]) for column in columns)) for name, c in self.counts.items())]
        total: Counter[str] = sum(self.counts.values(), Counter())
        rows.append((f"all {sum(total.values())}", *(str(total[column]) for column in columns)))
        return "\n".join("  ".join(f"{cell:>24}" for cell in row) for row in rows)


def run_campaign(targets: Iterable[Target], root: Path, *, n_each: int, seed: int = 0) -> Campaign:
    """Damages `n_each` files of every target, each in one way, and reads them."""
    campaign = Campaign()
    for target in targets:
        rng = random.Random(f"{seed} {target.name}")
        counts = campaign.counts.setdefault(target.name, Counter())
        place = root / "damaged" / target.name.replace(" ", "-")
        shutil.copytree(target.folder, place)
        whole = read_quietly(target, place)
        originals = {name: (place / name).read_bytes() for name in target.files}
        for number in range(n_each):
            name = target.files[number % len(target.files)]
            changed = mutate(originals[name], rng, is_json=name.endswith(".json"))
            (place / name).write_bytes(changed)
            outcome, what = _read(target, place, whole)
            (place / name).write_bytes(originals[name])
            counts[outcome] += 1
            if outcome in (SILENT, TRACEBACK):
                campaign.wrong.append(
                    f"{target.name}, {name}, case {number}: {what}; {_difference(originals[name], changed)}"
                )
    return campaign


def _read(target: Target, folder: Path, whole: object) -> tuple[str, str]:
    try:
        found = read_quietly(target, folder)
    except OpenMMCGMLError:
        return REFUSED, ""
    except Exception as error:  # noqa: BLE001  (any is a failure here, and is reported)
        return TRACEBACK, f"{type(error).__name__}: {error}"
    if found == whole:
        return SAME, ""
    return (SILENT, "accepted") if target.sealed else (READ, "")


def _difference(before: bytes, after: bytes) -> str:
    at = next(
        (i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
        min(len(before), len(after)),
    )
    return f"at byte {at}: {before[max(0, at - 20) : at + 30]!r} became {after[max(0, at - 20) : at + 30]!r}"
