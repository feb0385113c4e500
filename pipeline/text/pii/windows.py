"""The columns of a window, as kernels write them and `spans` reads them."""

from numba import njit

MARGIN_BEGIN, BEGIN, END, MARGIN_END, KINDS = range(5)
NUM_COLUMNS = 5

# Context on either side; a judgement may look at 40 (recognizer.CONTEXT_BYTES)
MARGIN_BYTES = 48


@njit(cache=True, nogil=True)
def emit(windows, num_windows, margin_begin, begin, end, margin_end, kinds):  # type: ignore[no-untyped-def]
    """How many windows there are with this one, which is written if there is room."""
    if num_windows < len(windows):
        windows[num_windows, MARGIN_BEGIN] = margin_begin
        windows[num_windows, BEGIN] = begin
        windows[num_windows, END] = end
        windows[num_windows, MARGIN_END] = margin_end
        windows[num_windows, KINDS] = kinds
    return num_windows + 1
