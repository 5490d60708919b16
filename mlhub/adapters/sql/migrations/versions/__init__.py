"""One module per revision, named and numbered in order; a released one is never edited."""
