//! The frame of a program that serves until it is told to stop.

use crate::{command_line, environment, errors::ExitError, failpoint, settings::Settings, telemetry};

/// Reads the command line and the environment, with `addr` as the default address, and serves. What
/// is left to other threads then ends with the process: a Kafka client that is closed while no
/// broker answers may wait for minutes.
///
/// # Errors
/// An argument or a setting is invalid, or `serve` failed.
pub fn run<F: Future<Output = Result<(), ExitError>>>(
    name: &'static str,
    about: &'static str,
    addr: &'static str,
    serve: impl FnOnce(Settings) -> F,
) -> Result<(), ExitError> {
    environment::clean()?;
    command_line::parse(name, about, addr);
    let settings = Settings::from_env(addr)?;
    telemetry::init(&settings.log)?;
    failpoint::start();
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(serve(settings));
    runtime.shutdown_background();
    outcome
}
