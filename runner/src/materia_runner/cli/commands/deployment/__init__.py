"""Deployment: artifacts and secrets of rented machines."""
