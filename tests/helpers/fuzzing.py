"""Which examples the fuzzing looks at: SEMFLOW_FUZZ=SEED:EXAMPLES."""

import os

_seed, _, _examples = os.environ.get("SEMFLOW_FUZZ", "").partition(":")
SEED, EXAMPLES = int(_seed or 0), int(_examples or 100)
