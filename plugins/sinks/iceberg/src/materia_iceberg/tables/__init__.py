"""Write Iceberg tables: compare, export, upload, snapshot, cleanup."""
