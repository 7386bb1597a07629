"""The raw layer: each distinct row once, with the releases in which it was current."""
