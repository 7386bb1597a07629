"""Raw layer: incremental history of all releases, each distinct row stored once."""
