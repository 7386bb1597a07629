"""The HTML page of `materia report`: pure functions from values to one self-contained file."""
