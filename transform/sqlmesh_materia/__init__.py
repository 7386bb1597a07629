"""Makes this folder a package that a wheel can carry; SQLMesh reads its files by path."""
