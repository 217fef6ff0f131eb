"""Records -> statistics, claims, tables, figures, drift. Reads records, never models; imports no torch."""

FIGURES = (
    *(f"figure{number:02}" for number in range(2, 13)),
    *("training_amplitudes", "sampling_amplitudes", "evaluations", "seed_agreement"),
)  # what semflow.suite.runs.FIGURES has the cells of, named here for a command line that starts at once
PRODUCTS = (
    *("table1", "table2", "ablations", "figure_table2", *FIGURES, "claims"),
    *("table1_page", "table2_page", "index"),
)
WITH_INTERVALS = "With intervals"  # heads the second half of table2.md
CONSISTENCY = (
    "Round-trip mIoU runs the same ODE back, which returns to its start for any smooth velocity, trained or not: alone it says "
    "nothing of quality."
)
