//! What a data protection officer needs: prove, audit, export, sweep.
