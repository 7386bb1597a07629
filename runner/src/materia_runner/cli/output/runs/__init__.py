"""What `materia runs` prints."""
