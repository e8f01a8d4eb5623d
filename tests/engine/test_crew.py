import threading
import time

import pytest
import torch

from openmm_cgml.engine.crew import Crew


@pytest.mark.parametrize("size", [1, 2, 4])
def test_no_thread_begins_a_phase_before_all_have_ended_the_one_before(size):
    done, seen = [], []

    def first(thread):
        time.sleep(0.01 * thread)
        done.append(thread)

    def second(thread):
        seen.append(len(done))

    for _ in range(3):
        done.clear()
        Crew(size).run([first, second])
    assert seen == [size] * size * 3


@pytest.mark.parametrize("failing", [0, 1])
def test_what_a_thread_raises_is_raised_and_the_crew_still_works(failing):
    crew = Crew(2)

    def fail(thread):
        if thread == failing:
            raise KeyError("found")

    with pytest.raises(KeyError, match="found"):
        crew.run([fail, lambda _: None])
    threads = set()
    crew.run([lambda _: threads.add(threading.get_ident())])
    assert len(threads) == 2


def test_nobody_works_on_after_an_interrupt():
    worked_on = []

    def interrupted(thread):
        if thread == 0:
            raise KeyboardInterrupt
        time.sleep(0.1)
        worked_on.append(thread)

    with pytest.raises(KeyboardInterrupt):
        Crew(2).run([interrupted])
    assert worked_on == [1]


def test_products_of_torch_stay_on_one_thread_and_the_setting_comes_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = []
        Crew(2).run([lambda _: found.append(torch.get_num_threads())])
        assert found == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
