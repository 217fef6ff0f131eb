"""Records -> statistics, tables, figures. Reads records, never models; imports no torch."""
