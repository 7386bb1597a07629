"""Tables, reports and progress on the terminal."""
