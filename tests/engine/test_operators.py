import gc
import io

import numpy as np
import pytest
import torch

from openmm_cgml.engine import operators
from openmm_cgml.engine.portable import pack
from openmm_cgml.engine.torchforce import tabulated_module
from tests.engine.test_invariances import BOX, _deployed, _positions, _rms


def _packed(deployed):
    return torch.frombuffer(bytearray(pack(deployed)), dtype=torch.uint8)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_operator_gives_energy_and_forces(periodic, dtype):
    deployed, x, box = _deployed(dtype=torch.float32), _positions(), torch.tensor(BOX) if periodic else None
    energy, forces = torch.ops.openmm_cgml.evaluate(_packed(deployed), x.to(dtype), box)
    exact, exact_forces = deployed(x, box)
    assert float(energy) == pytest.approx(float(exact), rel=1e-5)
    assert float((forces - exact_forces).abs().max()) < 1e-3 * _rms(exact_forces)


def test_the_operator_is_declared_as_torch_wants_it():
    torch.library.opcheck(
        operators.evaluate,
        (_packed(_deployed(dtype=torch.float32)), _positions(), torch.tensor(BOX)),
        test_utils=("test_schema", "test_faketensor"),
    )


def test_scripted_and_saved_it_still_works():
    deployed, x, box = _deployed(dtype=torch.float32), _positions(), torch.tensor(BOX)
    module = tabulated_module(deployed)
    energy, forces = module(x, box)
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    again, same = torch.jit.load(file)(x, box)
    assert float(again) == float(energy)
    assert torch.equal(same, forces)


def test_an_engine_is_built_once_and_goes_with_its_network():
    deployed, x = _deployed(dtype=torch.float32), _positions()
    gc.collect()
    before = len(operators._engines)
    packed = _packed(deployed)
    for _ in range(3):
        operators.evaluate(packed, x, None)
    assert len(operators._engines) == before + 1
    del packed
    gc.collect()
    assert len(operators._engines) == before


def test_later_changes_of_the_weights_do_not_reach_a_force():
    deployed, x = _deployed(dtype=torch.float32), _positions()
    module = tabulated_module(deployed)
    with torch.no_grad():
        deployed.network.embedding.weight.mul_(2.0)
    energy, _ = module(x)
    assert abs(float(energy) - float(deployed(x)[0])) > 1e-3 * abs(float(energy))


def test_a_wrong_number_of_positions_is_refused():
    packed = _packed(_deployed(dtype=torch.float32))
    with pytest.raises(RuntimeError, match=r"\(119, 3\) for a network of 120 beads"):
        operators.evaluate(packed, _positions()[:-1], None)


def test_errors_of_the_engine_come_through():
    packed, x = _packed(_deployed(dtype=torch.float32)), _positions().numpy().copy()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="twice the"):
            operators.evaluate(packed, torch.tensor(x), torch.tensor(np.diag([1.0, 1.0, 1.0])))


def test_where_the_cuda_kernels_do_not_work_the_host_takes_over_and_says_so(monkeypatch, caplog):
    from openmm_cgml.engine import warp_network

    def broken(self, positions, box):
        raise ValueError("no such kernel")

    deployed, x = _deployed(dtype=torch.float32), _positions()
    engine = operators._Engine(_packed(deployed))
    expected, _ = engine.on_gpu(x, None)
    monkeypatch.setattr(warp_network.WarpNetwork, "__call__", broken)
    with pytest.raises(ValueError, match="no such kernel"):  # it has worked before: not to be covered up
        engine.on_gpu(x, None)
    engine = operators._Engine(_packed(deployed))
    for _ in range(2):
        assert float(engine.on_gpu(x, None)[0]) == pytest.approx(float(expected), rel=1e-6)
    assert [record.message for record in caplog.records] == [
        "the network runs on the CPU, because its CUDA kernels do not work here: no such kernel"
    ]
