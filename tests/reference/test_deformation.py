import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ReferenceConfig, run_reference
from openmm_cgml.specification import StageSpecification, with_protocol
from openmm_cgml.storage import read_json
from tests.reference import chains

PROTOCOL = """
equilibration:
  - {name: squeeze, temperature: 300 kelvin, duration: 0.4 ps, final_density: 0.04 g/cm^3, time_step: 1 fs}
"""


def write_protocol(folder):
    path = folder / "protocol.yaml"
    path.write_text(PROTOCOL)
    return path


def test_protocol_file_takes_the_place_of_the_stages_of_the_system(tmp_path):
    specification = with_protocol(chains.specification(), write_protocol(tmp_path))
    assert [stage.name for stage in specification.reference.equilibration] == ["squeeze"]
    assert specification.reference.cutoff == chains.SETTINGS.cutoff


def test_protocol_of_a_system_without_reference_is_refused(tmp_path):
    specification = chains.specification().model_copy(update={"reference": None})
    with pytest.raises(InputError, match="no `reference` section"):
        with_protocol(specification, write_protocol(tmp_path))


def test_stage_with_pressure_and_density_is_refused():
    with pytest.raises(InputError, match="stage squeeze has a pressure and a final_density"):
        StageSpecification(name="squeeze", duration=1.0, temperature=300.0, pressure=1.0, final_density=1.0)


@pytest.mark.slow
def test_box_is_deformed_to_the_final_density_with_chains_left_whole(tmp_path):
    specification = with_protocol(chains.specification(), write_protocol(tmp_path))
    config = ReferenceConfig(
        molecules=2, monomers=4, density=0.04, relaxation_duration=0.01, duration=0.02, frame_interval=0.01,
        platform="CPU", threads=1,
    )  # fmt: skip
    result = run_reference(specification, tmp_path / "run", config)
    assert read_json(tmp_path / "run" / "stages.json")["squeeze"]["density"] == pytest.approx(0.04, rel=1e-5)
    assert result.density == pytest.approx(0.04, rel=1e-6)
    assert (tmp_path / "run" / "box.png").exists()
    from openmm_cgml.shards import FrameStore

    frames = FrameStore.open(result.recording).read()
    for bond in chains.box().topology().bonds():
        assert np.linalg.norm(frames.positions[-1, bond[0].index] - frames.positions[-1, bond[1].index]) < 0.2
