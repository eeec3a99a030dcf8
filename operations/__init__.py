"""Operations: read, plan, announce, yield guarded writes, read back. Comparing is in plans/, the rhythm in converge.py."""
