"""Unit tests of models: which of them have passed, and which an edit reaches."""
