//! Reading the log: records, ends, identity, bounded replay.
