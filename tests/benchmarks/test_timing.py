import time

import numpy as np
import pytest

from benchmarks.timing import Timing, ratio_to_faster, summarize, time_in_rounds


def timing(*cpu: float) -> Timing:
    return Timing(cpu=np.array(cpu), wall=np.array(cpu), calls=len(cpu))


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_methods_take_turns_in_every_round():
    order: list[str] = []
    methods = {name: lambda name=name: order.append(name) for name in "ab"}
    time_in_rounds(methods, rounds=2, seconds=0.0, warm_up=1)
    assert "".join(order) == "ab" + "ab" + "ab"


def test_time_per_call_is_process_time_and_leaves_out_waiting():
    found = time_in_rounds(
        {"works": lambda: busy(0.004), "waits": lambda: time.sleep(0.004)}, rounds=2, seconds=0.03, warm_up=1
    )
    assert 0.003 < np.median(found["works"].cpu) < 0.02
    assert np.median(found["waits"].cpu) < 0.001
    assert (found["waits"].wall >= 0.004).all()


def test_a_call_can_count_for_many_steps():
    found = time_in_rounds({"steps": lambda: busy(0.004)}, rounds=1, seconds=0.01, warm_up=0, calls_each={"steps": 100})
    assert found["steps"].calls % 100 == 0
    assert found["steps"].cpu[0] < 0.0004


def test_what_is_prepared_before_a_turn_is_not_timed():
    found = time_in_rounds({"a": lambda: None}, before={"a": lambda: busy(0.05)}, rounds=1, seconds=0.001, warm_up=0)
    assert found["a"].cpu[0] < 0.01


def test_the_ratio_is_that_of_the_rounds_to_the_peer_with_the_smaller_median():
    peers = {"slow": timing(9, 30, 9), "fast": timing(4, 8, 6)}
    assert ratio_to_faster(timing(1, 2, 3), peers) == {"median": 4.0, "min": 2.0, "max": 4.0, "peer": "fast"}


def test_a_ratio_without_a_peer_is_refused():
    with pytest.raises(ValueError, match="no peer"):
        ratio_to_faster(timing(1.0), {})
    with pytest.raises(ValueError, match="finite"):
        summarize(np.array([1.0, np.inf]))
