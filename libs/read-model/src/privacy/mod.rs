//! Statements of proofs, audits, exports and sweeps. They only read.

/// The schema of a generation's tables.
pub fn schema(generation: i32) -> String {
    format!("generation_{generation}")
}
