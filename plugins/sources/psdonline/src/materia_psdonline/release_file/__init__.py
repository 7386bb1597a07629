"""Read the file of a release: zip, CSV, and what is wrong with its lines."""
