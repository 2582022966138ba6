"""Is exp(−loss) a likelihood? The audit of a loss, and of a model."""
