"""What a rented machine needs: artifacts and secrets."""
