"""What `pulumi up` runs: see README.md."""

from materia_infra.program import main

main()
