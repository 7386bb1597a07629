"""A whole outside package lies here; its tests run where it is installed: test_third_party.py."""

collect_ignore = ["materia-acme"]
