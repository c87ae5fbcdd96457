"""From a folder, a bucket, or a manifest to readable documents: listing, reading, parsing, grouping."""
