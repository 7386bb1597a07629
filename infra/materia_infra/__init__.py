"""Infrastructure as code with Pulumi, for what outlives a run."""
