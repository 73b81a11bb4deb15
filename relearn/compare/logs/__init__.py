"""What changed between models whose evaluation logs are at hand: figures, gates, and the places they are written to."""
