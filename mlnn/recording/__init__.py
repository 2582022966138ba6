"""Somebody else's training loop: what it did, and the objective that it minimises."""
