"""How good the forces of a fitted force field are, on data it was trained on and on data it was not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.networks import SchNet
from openmm_cgml.storage import read_json
from openmm_cgml.training.batches import FrameStore, Key
from openmm_cgml.training.data import FitData
from openmm_cgml.training.pair_slopes import compute_slopes, pair_forces

_MOST_TRAINING_FRAMES = 200  # an estimate of the training error does not need more


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Forces and energies of priors plus network on some frames, and their references.

    Attributes:
        forces: Predicted forces [kJ/mol/nm], shape (n, 3) over all beads of all frames.
        reference: Mapped forces, shape (n, 3).
        prior: The part of the priors in the predicted forces, shape (n, 3).
        error: Standard error of the reference, shape (n, 3), or None for instantaneous forces.
        inter: Predicted intermolecular part less that of the priors, shape (n, 3).
        inter_residual: What it should be, shape (n, 3), or None if the data were not split.
        prior_inter: The intermolecular part of the priors, shape (n, 3), or None likewise.
        bead_types: Type of each row, shape (n,).
        energy_errors: Energy errors per bead [kJ/mol], one per frame that has an energy.
    """

    forces: NDArray[np.float64]
    reference: NDArray[np.float64]
    prior: NDArray[np.float64]
    error: NDArray[np.float64] | None
    inter: NDArray[np.float64]
    inter_residual: NDArray[np.float64] | None
    prior_inter: NDArray[np.float64] | None
    bead_types: NDArray[np.int64]
    energy_errors: NDArray[np.float64]


def predict(
    network: SchNet | None, store: FrameStore, keys: Sequence[Key], *, n_knots: int, batch_size: int = 8
) -> Predictions:
    """Forces of priors plus network on frames.

    Args:
        network: The network; None for the priors alone.
        store: The frames.
        keys: Which of them.
        n_knots: Knots of the filters; 0 evaluates them at every pair.
        batch_size: Frames at a time.
    """
    residual, bead_types = _of_frames(store, "forces", keys), _bead_types(store, keys)
    prior, prior_inter = _of_frames(store, "prior_forces", keys), _of_frames(store, "prior_inter", keys)
    assert residual is not None
    assert prior is not None
    inter, intra, energy_errors = np.zeros(residual.shape), np.zeros(residual.shape), np.zeros(0)
    if network is not None:
        starts = range(0, len(keys), batch_size)
        parts = [_predict_batch(network, store, keys[start : start + batch_size], n_knots) for start in starts]
        inter, intra, energy_errors = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(
        forces=inter + intra + prior,
        reference=residual + prior,
        prior=prior,
        error=_of_frames(store, "force_error", keys),
        inter=inter,
        inter_residual=_of_frames(store, "forces_inter", keys),
        prior_inter=prior_inter,
        bead_types=bead_types,
        energy_errors=energy_errors,
    )


def _of_frames(store: FrameStore, name: str, keys: Sequence[Key]) -> NDArray[np.float64] | None:
    """An array of labels over all beads of all frames, shape (n, 3); None where a dataset lacks it."""
    arrays = [getattr(store.parts[part], name) for part, _ in keys]
    if any(array is None for array in arrays):
        return None
    return np.concatenate([array[frame] for array, (_, frame) in zip(arrays, keys, strict=True)]).astype(np.float64)


def _bead_types(store: FrameStore, keys: Sequence[Key]) -> NDArray[np.int64]:
    return np.concatenate([store.parts[part].topology.bead_types for part, _ in keys])


def _predict_batch(
    network: SchNet, store: FrameStore, keys: Sequence[Key], n_knots: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Inter- and intramolecular forces of the network, shape (n, 3), and energy errors per bead of frames."""
    batch = store.batch(keys).to(network.embedding.weight.device)
    slopes = compute_slopes(network, batch, n_knots=n_knots, create_graph=False)
    n = len(batch.bead_types)
    inter, intra = pair_forces(slopes.inter, batch.inter, n), pair_forces(slopes.intra, batch.intra, n)
    errors = np.zeros(0)
    if batch.energies is not None:
        totals = slopes.energies.new_zeros(batch.n_frames).index_add(0, batch.frame_of_bead, slopes.energies)
        counts = batch.frame_of_bead.bincount(minlength=batch.n_frames)
        difference = ((totals - batch.energies) / counts).double().cpu().numpy()
        errors = difference[np.isfinite(difference)]
    return inter.double().cpu().numpy(), intra.double().cpu().numpy(), errors


def force_errors(predictions: Predictions, type_names: Sequence[str]) -> dict[str, Any]:
    """Errors of the forces [kJ/mol/nm], as a fraction of their standard deviation, and by bead type.

    Args:
        predictions: Forces and references.
        type_names: Names of the bead types.
    """
    result = _errors(predictions.forces, predictions.reference)
    result["by_type"] = {
        name: _errors(predictions.forces[chosen], predictions.reference[chosen])
        for number, name in enumerate(type_names)
        if (chosen := predictions.bead_types == number).any()
    }
    if predictions.inter_residual is not None:
        assert predictions.prior_inter is not None  # labels have both or none
        rmse = _rms(predictions.inter - predictions.inter_residual)
        result["inter_force_rmse"] = rmse
        result["inter_r2"] = 1 - (rmse / _rms(predictions.prior_inter + predictions.inter_residual)) ** 2
    if len(predictions.energy_errors):
        errors = predictions.energy_errors
        result["energy_rmse_per_bead"] = _rms(errors)
        result["energy_fluctuation_rmse_per_bead"] = float(errors.std())
    return result


def mean_force_errors(squared_error: float, squared_label: float, squared_noise: float | None) -> dict[str, float]:
    """RMSE [kJ/mol/nm] and R2 against mean forces, as they are and with the labels' own noise taken off.

    R2 = 1 - sum (F - F_mean)^2 / sum F_mean^2; corrected, the sum of squared standard errors of the labels is
    subtracted from both sums, which are otherwise both too large by it.

    Args:
        squared_error: Mean square of prediction less label, per component [(kJ/mol/nm)^2].
        squared_label: Mean square of the labels.
        squared_noise: Mean square of their standard errors, or None if it is not known.
    """
    result = {"rmse": math.sqrt(squared_error), "r2": 1 - squared_error / squared_label}
    if squared_noise is None:
        return result
    signal, error = squared_label - squared_noise, squared_error - squared_noise
    result["label_noise"] = math.sqrt(squared_noise)
    result["rmse_corrected"] = math.sqrt(max(error, 0.0))
    result["mean_force_rms"] = math.sqrt(max(signal, 0.0))
    if signal > 0:
        result["r2_corrected"] = 1 - error / signal
    return result


def fit_metrics(network: SchNet | None, data: FitData, *, n_knots: int) -> dict[str, Any]:
    """All metrics of a fit, for `metrics.json` and the manifest.

    Args:
        network: The network that is exported; None for priors alone.
        data: Data of the fit.
        n_knots: Knots of the filters.
    """
    result: dict[str, Any] = {"units": {"force": "kJ/mol/nm", "energy": "kJ/mol"}}
    for name in ("train", "validation", "test"):
        keys = [key for key in data.keys[name] if data.datasets[key[0]].kind != "mean-force"]
        if name == "train":
            keys = keys[:: -(-len(keys) // _MOST_TRAINING_FRAMES)]
        if keys:
            predictions = predict(network, data.store, keys, n_knots=n_knots)
            result[name] = {"n_frames": len(keys), **force_errors(predictions, data.type_names)}
    if keys := data.keys["mean_force_test"]:
        predictions = predict(network, data.store, keys, n_knots=n_knots)
        result["mean_force"] = {"n_frames": len(keys), **_mean_force(predictions, data)}
        result["noise_floor"] = _noise_floor(data, result)
    return result


def _mean_force(predictions: Predictions, data: FitData) -> dict[str, Any]:
    assert predictions.error is not None
    total = _mean_square(predictions.forces - predictions.reference)
    result: dict[str, Any] = dict(
        mean_force_errors(total, _mean_square(predictions.reference), _mean_square(predictions.error))
    )
    if predictions.inter_residual is not None:
        labels = [data.datasets[part].frames([frame]).forces_inter for part, frame in data.keys["mean_force_test"]]
        noise = _recorded(data, "forces_inter", "mean_force_error")
        result["inter"] = mean_force_errors(
            _mean_square(predictions.inter - predictions.inter_residual),
            float(np.mean([_mean_square(label) for label in labels if label is not None])),
            None if noise is None else noise**2,
        )
    return result


def _noise_floor(data: FitData, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Standard deviation of instantaneous forces about their mean force: no model can have a smaller force RMSE."""
    noise, inter = _recorded(data, "forces", "noise"), _recorded(data, "forces_inter", "noise")
    if noise is not None:
        return {"force_rmse": noise, "inter_force_rmse": inter, "from": "sampling at held beads"}
    total = next(metrics[name]["force_std"] for name in ("test", "validation", "train") if name in metrics)
    floor = math.sqrt(max(total**2 - metrics["mean_force"]["mean_force_rms"] ** 2, 0.0))
    return {"force_rmse": floor, "from": "variance of the forces less that of the mean force"}


def _recorded(data: FitData, kind: str, what: str) -> float | None:
    """A number that was measured with the held-out mean forces, or None."""
    dataset = data.datasets[data.keys["mean_force_test"][0][0]]
    path = dataset.path / "noise_floor.json"
    return float(read_json(path)[kind]["pooled"][what]) if path.is_file() else None


def _errors(forces: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, Any]:
    rmse, spread = _rms(forces - reference), _rms(reference)
    return {
        "force_rmse": rmse,
        "force_std": spread,
        "force_rmse_over_std": rmse / spread,
        "r2": 1 - (rmse / spread) ** 2,
    }


def _mean_square(values: NDArray[np.floating]) -> float:
    return float(np.square(values, dtype=np.float64).mean())


def _rms(values: NDArray[np.floating]) -> float:
    return math.sqrt(_mean_square(values))
