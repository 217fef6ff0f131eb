"""What several methods are built of; no method itself."""
