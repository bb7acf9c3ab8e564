"""One BLAS thread for small systems: several wait for each other longer than they compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np  # noqa: F401  # BLAS is found once it is loaded, by numpy and by scipy
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


class _Limit:
    """The limit and how many hold it: the first sets it, the last gives back what was before.

    Threads that each kept what they found would give back the limit of one another.
    """

    def __init__(self) -> None:
        self.libraries: list[Any] = []
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            if library.get_num_threads() is not None:
                self.libraries.append(library)
        self.lock, self.holders, self.before = Lock(), 0, [1] * len(self.libraries)

    def take(self) -> None:
        with self.lock:
            self.holders += 1
            if self.holders == 1:
                self.before = [library.get_num_threads() for library in self.libraries]
                self._set([1] * len(self.libraries))

    def give_back(self) -> None:
        with self.lock:
            self.holders -= 1
            if self.holders == 0:
                self._set(self.before)

    def _set(self, numbers: list[int]) -> None:
        for library, number in zip(self.libraries, numbers, strict=True):
            library.set_num_threads(number)


@cache
def _limit() -> _Limit:
    return _Limit()  # looking for the libraries takes 10 ms, once a process


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread until the end of the block, then as it was before.

    The number of threads belongs to the process, so BLAS has one thread in the caller's other
    threads as well for as long as some block lasts. Entering and leaving take some microseconds.
    """
    limit = _limit()
    limit.take()
    try:
        yield
    finally:
        limit.give_back()
