"""Text recall: self-made files of every format with known text, and what readers find of it."""
