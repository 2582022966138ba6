"""Two losses proved equal on an interval of raw outputs by ball arithmetic, or the place where they part."""
