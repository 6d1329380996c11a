//! The command line of a service: only `--help` and `--version`. Everything else is set in the
//! environment.

use std::{
    env,
    ffi::OsString,
    io::{Write, stderr, stdout},
    process,
};

/// Answers `--help` and `--version` and exits. Any other argument is wrong usage (exit 2). Call
/// this before reading settings. `about` describes the program in one line; `addr` is its default
/// address.
pub fn parse(program: &str, about: &str, addr: &str) {
    match answer(program, about, addr, env::args_os().skip(1)) {
        None => {}
        Some(Ok(text)) => {
            // If stdout is closed, there is nobody left to tell.
            let _ = writeln!(stdout(), "{text}");
            process::exit(0)
        }
        Some(Err(text)) => {
            let _ = writeln!(stderr(), "{text}");
            process::exit(2)
        }
    }
}

fn answer(
    program: &str,
    about: &str,
    addr: &str,
    mut args: impl Iterator<Item = OsString>,
) -> Option<Result<String, String>> {
    let first = args.next()?;
    Some(match first.to_str() {
        Some("--help" | "-h" | "help") => Ok(help(program, about, addr)),
        Some("--version" | "-V") => Ok(format!("{program} {}", env!("CARGO_PKG_VERSION"))),
        _ => Err(format!("{program}: takes no arguments, see `{program} --help`")),
    })
}

fn help(program: &str, about: &str, addr: &str) -> String {
    format!(
        "{about}\n\nUsage: {program} [--help | --version]\n\n\
         Settings come from the environment; .env.example lists them all. DATABASE_URL, REDIS_URL\nand KAFKA_BROKERS are required. \
         The service listens on ROLLCALL_ADDR ({addr} by default)\nand logs to stderr. SIGTERM or Ctrl-C stops it. \
         To start everything in one process, use `rollcall run`."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(args: &[&str]) -> Option<Result<String, String>> {
        answer("projector", "Folds.", "127.0.0.1:8083", args.iter().map(OsString::from))
    }

    #[test]
    fn only_help_and_version_are_known() {
        assert_eq!(answered(&[]), None);
        let help = answered(&["--help"]).and_then(Result::ok).unwrap_or_default();
        assert!(help.starts_with("Folds.") && help.contains("DATABASE_URL"), "{help}");
        assert!(matches!(answered(&["-V"]), Some(Ok(text)) if text.starts_with("projector ")));
        assert!(matches!(answered(&["--port", "1"]), Some(Err(_))));
    }
}
