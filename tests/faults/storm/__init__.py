"""Random sequences of faults: which (schedule), made how (acts), to what (world), and what must be true afterwards (verdicts)."""
