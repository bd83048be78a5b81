"""Where a stylesheet puts streams: read in processes of their own, which have nothing else."""
