"""Small networks: their maximum through its Hessian, and what survives of maximum likelihood beyond one node."""
