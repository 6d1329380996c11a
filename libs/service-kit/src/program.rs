//! The frame of a program that serves until it is told to stop.

use crate::errors::ExitError;

/// Runs `main` to its end. What it has left to other threads ends with the process: a Kafka client
/// that is closed while no broker answers may wait for minutes.
///
/// # Errors
/// `main` failed, or there are no threads for it.
pub fn run(main: impl Future<Output = Result<(), ExitError>>) -> Result<(), ExitError> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(main);
    runtime.shutdown_background();
    outcome
}
