"""What commands print: tables, progress, summaries and charts."""
