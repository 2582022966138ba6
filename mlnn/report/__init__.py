"""A kit that knows no question: the console, drawing, one offline HTML page, and how numbers and names are shown."""
