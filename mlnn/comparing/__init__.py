"""Do two objectives train the same network? Probe, gaps, evidence, resolution, verdict, and their page."""
