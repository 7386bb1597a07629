"""For authors of plugins: write a new package, and check one against what materia promises."""
