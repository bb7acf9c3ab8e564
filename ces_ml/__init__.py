"""ces-ml."""
