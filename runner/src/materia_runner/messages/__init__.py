"""What the runner and a worker say to each other, as checked values."""
