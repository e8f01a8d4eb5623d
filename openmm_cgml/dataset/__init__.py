"""Datasets for force matching: made from recordings, read, split and summarized."""

from openmm_cgml.dataset.conformations import Conformations, compute_conformations
from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.recording import map_recording, open_recording, read_force_map_reports, spread_frames
from openmm_cgml.dataset.splits import split_blocks
from openmm_cgml.dataset.summary import DatasetSummary, summarize
from openmm_cgml.dataset.thinning import thin_dataset

__all__ = [
    "Conformations",
    "DatasetSummary",
    "ForceMatchingDataset",
    "compute_conformations",
    "map_recording",
    "open_recording",
    "read_force_map_reports",
    "split_blocks",
    "spread_frames",
    "summarize",
    "thin_dataset",
]
