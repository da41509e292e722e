"""The rows of the papers' tables: what each leaves out, and the recipes that it is left out of."""
