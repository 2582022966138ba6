"""How do the loss curves of runs compare, their own and those in logs of other tools? What curves alone can say, and no more."""
