"""Whom permissions bind."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NOBODY = 65534


@contextmanager
def another_user() -> Iterator[None]:
    """Somebody whom permissions bind: nobody, where the tests are run by root."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        if not os.access(sys.prefix, os.R_OK | os.X_OK, effective_ids=True):
            pytest.skip(f"nobody but its owner can read what is installed in {sys.prefix}")
        yield
    finally:
        if own == 0:
            os.seteuid(own)
