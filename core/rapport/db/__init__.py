"""The database: SQLite in the site's directory, or PostgreSQL; the same behaviour on both."""
