"""Others' work that pages carry: plotly.js 4.1.1, its basic build (npm: plotly.js-basic-dist-min), under the MIT licence beside it.

It draws scatter, bar and pie, which is all that a page here asks of it, at a quarter of the size of the whole library.
"""
