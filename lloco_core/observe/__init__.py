"""What a run measured of itself."""
