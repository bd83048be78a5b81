"""Fuzz targets of the Python parsers of network input."""
