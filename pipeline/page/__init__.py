"""The page that reports are drawn on: one HTML file without a network, in light and in dark.

`elements` makes its parts (tables, tiles, tabs), `plots` its figures, `document` the file. Both
halves of Headwater use it; it knows neither.
"""
