"""Parts of the documentation site: its pages, the help of commands, the reference of names."""
