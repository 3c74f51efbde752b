"""The rules. Each module has a docstring whose first line is the demand, and `check(tree)`."""
