"""`python -m semflow`."""

from semflow.cli import main

main()
