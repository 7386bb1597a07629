"""The usual set of materia as one installable name; there is no code in it."""
