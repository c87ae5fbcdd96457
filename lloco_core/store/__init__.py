"""Lance tables in a folder or on S3: what is stored (`schema`), how it gets there exactly once (`commit`), how it is
read (`read`)."""
