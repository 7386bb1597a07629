"""Installed plugins, and the settings of sources and sinks."""
