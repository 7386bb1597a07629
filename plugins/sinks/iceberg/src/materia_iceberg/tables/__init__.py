"""Write Iceberg tables: export, upload, snapshot, cleanup; only this package needs pyiceberg."""
