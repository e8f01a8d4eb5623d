"""Datasets for force matching: made from recordings, read, split and summarized."""

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.splits import split_blocks

__all__ = ["ForceMatchingDataset", "split_blocks"]
