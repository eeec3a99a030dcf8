"""Facts: the current state of a host as typed values. Reading only; what should be is in plans/."""
