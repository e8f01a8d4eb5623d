import openmm
import pytest

from openmm_cgml.errors import ArtifactError
from openmm_cgml.reference.checkpoint import Checkpoint, read_newest_checkpoint, read_state, write_checkpoint


def write(folder, step, stage="recording", order=3):
    write_checkpoint(
        folder, Checkpoint(stage=stage, step=step, n_frames=step, state="<State/>", densities=(0.8,)), order=order
    )


def test_newest_checkpoint_comes_back_as_written(tmp_path):
    for step in (100, 200, 1000):
        write(tmp_path, step)
    point = read_newest_checkpoint(tmp_path)
    assert (point.step, point.n_frames, point.state, point.densities) == (1000, 1000, "<State/>", (0.8,))
    assert len(list(tmp_path.iterdir())) == 2


def test_later_stage_wins_over_more_steps(tmp_path):
    write(tmp_path, 5000, stage="density", order=1)
    write(tmp_path, 0)
    assert read_newest_checkpoint(tmp_path).stage == "recording"


def test_no_checkpoint_is_none(tmp_path):
    assert read_newest_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:-2], lambda b: b.replace(b"200", b"201"), lambda b: b""]
)
def test_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage):
    write(tmp_path, 100)
    write(tmp_path, 200)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    assert read_newest_checkpoint(tmp_path).step == 100


def test_only_damaged_checkpoints_are_an_error_that_names_them(tmp_path):
    write(tmp_path, 100)
    path = next(tmp_path.iterdir())
    path.write_text(path.read_text().replace("<State/>", "<state/>"))
    with pytest.raises(ArtifactError, match=r"3-recording-000000000100.json: checksum.*--overwrite"):
        read_newest_checkpoint(tmp_path)


def test_only_a_state_of_numbers_is_handed_to_openmm():
    system = openmm.System()
    system.addParticle(1.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([[0.1, -2e-7, 30.0]])
    context.setVelocities([[1e-300, 0.0, -0.5]])
    context.setPeriodicBoxVectors([2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0])
    state = context.getState(positions=True, velocities=True)
    text = openmm.XmlSerializer.serialize(state)
    again = read_state(text)
    assert again.getPositions() == state.getPositions()
    assert again.getVelocities() == state.getVelocities()
    system.addForce(openmm.PythonForce(_no_force))
    line = text.splitlines()[2]
    for bad in (
        openmm.XmlSerializer.serialize(system),
        text.replace(line, line + '<Force function="80" type="PythonForce"/>'),
        text.replace(line, "<!-- -->" + line),
        text.replace('x="2"', 'x="nan"'),
        text[: len(text) // 2],
    ):
        with pytest.raises(ArtifactError):
            read_state(bad)


def _no_force(state):
    return 0.0, None
