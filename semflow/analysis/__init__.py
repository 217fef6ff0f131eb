"""Records -> statistics, tables, figures. Reads records, never models; imports no torch."""

PRODUCTS = ("table2", "figure_table2", "figure02", "page")  # what `semflow report` makes
WITH_INTERVALS = "With intervals"  # heads the second half of table2.md
