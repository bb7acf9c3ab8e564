"""Two configurations for the demonstration on the grocery log."""
