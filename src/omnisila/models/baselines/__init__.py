"""Systems of the papers' tables that are compared with, one file each."""
