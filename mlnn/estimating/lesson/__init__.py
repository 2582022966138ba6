"""What the page of a training teaches: its loss as a log-likelihood, its weights on the way to the maximum, and where that ends."""
