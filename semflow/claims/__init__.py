"""Records -> statistics, verdicts, drift. Reads records, never models; imports no torch."""
