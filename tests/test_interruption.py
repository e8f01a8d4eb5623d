import os
import signal
import threading

import pytest

from openmm_cgml.interruption import Interruption


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_is_kept_until_it_is_asked_for(number, raised):
    with Interruption() as interruption:
        interruption.raise_again()
        assert not interruption.is_requested
        os.kill(os.getpid(), number)
        assert interruption.is_requested
    with pytest.raises(raised):
        interruption.raise_again()


def test_a_second_signal_interrupts_at_once():
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def work():
        with Interruption() as interruption:
            seen.append(interruption.is_requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
