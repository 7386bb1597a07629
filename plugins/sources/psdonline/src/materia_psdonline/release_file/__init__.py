"""Read and validate the file of a release: zip, CSV and bad lines."""
