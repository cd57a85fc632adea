"""What a run leaves behind: record types with a schema version, and files that are whole or absent."""
