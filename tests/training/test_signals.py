"""Stopping between two steps."""

import signal

import pytest

from training.signals import STOPPING, stop_on_signals


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_is_noted(number: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with stop_on_signals() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_a_second_interrupt_interrupts() -> None:
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.requested
