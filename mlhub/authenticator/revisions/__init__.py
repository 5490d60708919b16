"""One module per revision of the identities' table; a released one is never edited."""
