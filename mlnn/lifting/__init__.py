"""An objective taken out of a step: its operations noted below autograd, sliced from raw outputs to loss, asked row by row."""
