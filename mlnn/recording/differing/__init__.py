"""Are two recorded trainings the same? Where they first differ, by how much, and what rounding makes of it."""
