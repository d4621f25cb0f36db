"""Building blocks of efficient networks, one idea a file; `catalogue` lists them with their cost formulas."""
