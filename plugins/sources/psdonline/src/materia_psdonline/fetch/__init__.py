"""Fetch an archive from a server or a folder."""
