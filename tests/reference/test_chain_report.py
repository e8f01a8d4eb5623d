import numpy as np
import pytest

from openmm_cgml.frames import Frames
from openmm_cgml.reference import ReferenceReport, format_report, report_reference
from openmm_cgml.reference.chain_report import chain_observables, measure_chain_sizes
from openmm_cgml.reference.polyethylene import POLYETHYLENE, grow_backbones
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.topology import AtomTopology
from tests.reference import chains

MONOMERS = 8
EDGE = 6.0


def write_recording(path, n_frames=12):
    atoms = AtomTopology.from_openmm(POLYETHYLENE.topology(3, MONOMERS))
    metadata = {
        "kind": "openmm-cgml/recording", "temperature": 300.0, "density": 0.03, "atoms": atoms.to_dict(), "source": {},
    }  # fmt: skip
    positions = [POLYETHYLENE.grow(3, MONOMERS, EDGE, np.random.default_rng(seed)) for seed in range(n_frames)]
    with FrameWriter(path, metadata=metadata) as writer:
        writer.append(Frames(
            positions=np.stack(positions),
            box=np.repeat(EDGE * np.eye(3)[None], n_frames, axis=0),
            times=0.2 * np.arange(n_frames),
            energies={name: np.full(n_frames, 3.0) + np.arange(n_frames) % 3 for name in
                      ("inter", "bonded", "intra_nonbonded", "kinetic")},
        ))  # fmt: skip
    return path, atoms


def test_sizes_are_those_of_the_grown_chains(tmp_path):
    path, atoms = write_recording(tmp_path / "recording", 4)
    sizes = measure_chain_sizes(FrameStore.open(path), atoms)
    carbons = np.stack([grow_backbones(3, 2 * MONOMERS, EDGE, np.random.default_rng(seed)) for seed in range(4)])
    first, last = carbons[:, :, :2].mean(2), carbons[:, :, -2:].mean(2)
    expected = ((last - first) ** 2).sum(-1).mean(0)
    np.testing.assert_allclose(sizes.squared_end_to_end, expected, rtol=0.1)  # hydrogens shift the centers a little
    radius = ((carbons - carbons.mean(2, keepdims=True)) ** 2).sum(-1).mean((0, 2))
    np.testing.assert_allclose(sizes.squared_radius_of_gyration, radius, rtol=0.1)
    assert 0.4 < sizes.trans.mean() < 0.8


def test_errors_come_from_the_differences_between_chains(tmp_path):
    path, atoms = write_recording(tmp_path / "recording")
    sizes = measure_chain_sizes(FrameStore.open(path), atoms)
    values = chain_observables(sizes, 226.4)
    mean, error, unit = values["squared_radius_of_gyration"]
    assert mean == pytest.approx(sizes.squared_radius_of_gyration.mean())
    assert error == pytest.approx(sizes.squared_radius_of_gyration.std(ddof=1) / np.sqrt(3))
    assert unit == "nm^2"
    assert values["squared_end_to_end_per_mass"][0] == pytest.approx(100 * sizes.squared_end_to_end.mean() / 226.4)


def test_report_of_chains_has_their_size_and_no_vaporization(tmp_path):
    path, _ = write_recording(tmp_path / "recording")
    report = report_reference(path, chains.specification())
    assert {"squared_radius_of_gyration", "trans_fraction", "density"} <= set(report.observables)
    assert "vaporization_enthalpy" not in report.observables
    assert report.rdf is None
    assert ReferenceReport.from_json(report.to_json()).rdf is None
    assert "trans fraction" in format_report(report)
