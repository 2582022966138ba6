"""The stacked engine: all lanes of a precision as rows of one computation."""
