"""Small datasets of dimers, and configurations to fit them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.training import DataConfig, FitConfig
from tests.training.dimers import NETWORK, PRIORS, TEMPLATE, dimer_frames, dimer_topology


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., ForceMatchingDataset]:
    """Creates a dataset of dimers; keyword arguments replace fields of its frames."""

    def make(
        name: str = "data",
        *,
        n_frames: int = 12,
        n_molecules: int = 16,
        seed: int = 0,
        kind: str = "instantaneous",
        **changes: Any,
    ) -> ForceMatchingDataset:
        frames = dimer_frames(n_frames, n_molecules, seed).replace(**changes)
        return ForceMatchingDataset.create(
            tmp_path / name,
            [frames],
            topology=dimer_topology(n_molecules),
            temperature=300.0,
            mapping_fingerprint="test",
            source={"made": "for a test"},
            templates=[TEMPLATE],
            kind=kind,
        )

    return make


@pytest.fixture
def make_config(make_dataset: Callable[..., ForceMatchingDataset]) -> Callable[..., FitConfig]:
    """Creates a configuration with a dataset behind it; keyword arguments update the training section."""
    dataset = make_dataset()

    def make(network: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **training: Any) -> FitConfig:
        settings = {"epochs": 2, "batch_size": 3, "threads": 1, "filter_knots": 40, **training}
        return FitConfig(
            name="dimers",
            data=DataConfig(**{"datasets": dataset.path, "n_blocks": 6, "fractions": (0.6, 0.2, 0.2), **(data or {})}),
            priors=PRIORS,
            network={**NETWORK, **(network or {})},
            training=settings,
        )

    return make
