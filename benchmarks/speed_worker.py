"""A process of its own for one method: to be timed with its own number of threads, or to have its memory measured.

It builds the method, warms it up, and answers each line on its input, a number of seconds, with a line of JSON: calls,
elapsed time, process time, and time that its threads waited for a core. At the end of its input it writes its memory
and leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

METHODS = ("ours", "exact", "torchforce", "torchmdnet", "schnetpack")
COPIES = {"benz-500": 1, "benz-4k": 2, "benz-32k": 4, "benz-108k": 6}


class Worker:
    """The parent's end of a worker process."""

    def __init__(self, method: str, box: str, *, threads: int, cores: Sequence[int]) -> None:
        """Args:
        method: One of `METHODS`.
        box: One of `COPIES`.
        threads: Threads of everything in it.
        cores: Cores it may run on.
        """
        command = [sys.executable, __file__, "--method", method, "--box", box, "--threads", str(threads)]
        command += ["--cores", *map(str, cores)]
        self._process = subprocess.Popen(
            command, env=thread_environment(threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._read()

    def run(self, seconds: float) -> dict[str, float]:
        """Calls, elapsed time, process time and time without a core [s] of a turn of at least so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> dict[str, float]:
        """End the process; the memory it used [MB]."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        memory = self._read()
        self._process.wait()
        return memory

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries may print lines of their own
                return json.loads(line)
        raise RuntimeError(f"the worker ended with code {self._process.wait()}; its message is above")


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that hold every library to so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENMM_CPU_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads))}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--box", choices=COPIES, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cores", type=int, nargs="+", required=True)
    given = parser.parse_args()
    os.sched_setaffinity(0, given.cores)
    call, before = _build(given.method, given.box, given.threads)
    for _ in range(3):
        call()
    print(json.dumps({"rss_before_mb": before}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_turn(call, float(line))), flush=True)
    peak = _status_mb("VmHWM")
    print(json.dumps({"peak_mb": peak, "before_mb": before}), flush=True)


def _turn(call: Callable[[], object], seconds: float) -> dict[str, Any]:
    calls, begun, cpu, waited = 0, time.perf_counter(), time.process_time(), _time_waited()
    while time.perf_counter() - begun < seconds:
        call()
        calls += 1
    wall = time.perf_counter() - begun
    return {"calls": calls, "wall": wall, "cpu": time.process_time() - cpu, "waited": _time_waited() - waited}


def _time_waited() -> float:
    """Time that threads of this process were ready to run and had no core, because others had it [s]."""
    total = 0
    for thread in Path("/proc/self/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[1])
    return 1e-9 * total


def _build(method: str, box: str, threads: int) -> tuple[Callable[[], object], float]:
    """The call to time, and the memory held before anything but libraries and positions was made [MB]."""
    import openmm
    import torch

    from benchmarks import speed_methods, speed_peers, speed_systems

    torch.set_num_threads(threads)
    spk = speed_peers.import_schnetpack()
    small = speed_systems.benzene()
    workload = small if COPIES[box] == 1 else speed_systems.replicate(small, COPIES[box], n_frames=24)
    of_small = speed_peers.Networks(spk=spk, workload=small, reference=speed_peers.create_reference(spk, small.size))
    networks = speed_peers.Networks(spk=spk, workload=workload, reference=of_small.reference)
    before = _status_mb("VmRSS")
    if method == "schnetpack":
        return speed_peers.ase_playback(networks, "matscipy"), before
    if method == "torchmdnet":
        system = speed_methods.torchmdnet(networks)
    else:
        backend = "TorchForce" if method == "torchforce" else "PythonForce"
        system = speed_methods.ours(networks, ml_backend=backend, exact=method == "exact")
    context = speed_methods.create_context(system, workload, openmm.VerletIntegrator(0.001), threads=threads)
    return speed_methods.playback(context, workload), before


def _status_mb(field: str) -> float:
    """Memory of this process: `VmRSS` now, or `VmHWM` at its highest [MB]; getrusage counts the parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}; memory is measured on Linux only")


if __name__ == "__main__":
    main()
