"""The training core: free of Ray, given a process group and prepared arrays."""
