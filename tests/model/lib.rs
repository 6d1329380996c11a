//! Models of protocols, checked exhaustively. Each is a test in `tests/`; this library is empty.
