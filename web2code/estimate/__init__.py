"""What a recipe needs on a cluster, in memory, hours and money, computed without weights."""
