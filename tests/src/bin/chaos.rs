//! `make chaos`: runs the service under faults and prints a table of checks.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program of the tests")]

use std::{process::ExitCode, time::UNIX_EPOCH};
use tests::{
    Stack,
    chaos::{Options, run},
    remove_scratch, scratch,
};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            println!("{wrong}; usage: chaos [--seed N] [--faults N]");
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {} faults at least", options.seed, options.faults);
    // It is stopped explicitly below, not when it is dropped.
    let stack: &'static Stack = Box::leak(Box::new(Stack::start(&scratch("chaos"))));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(run(stack, options, |line| println!("{line}")));
    println!("{report}");
    let stopped = stack.stop();
    if let Err(wrong) = &stopped {
        println!("{wrong}");
    }
    if report.is_clean() && stopped.is_ok() {
        remove_scratch();
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Without a seed, one is taken from the clock.
fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let seed = UNIX_EPOCH.elapsed().unwrap_or_default().subsec_micros();
    let mut options = Options { seed: seed.into(), faults: 100 };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} wants a number"))?;
        let number = value.parse().map_err(|_| format!("{name} wants a number"));
        match name.as_str() {
            "--seed" => options.seed = number?,
            "--faults" => options.faults = usize::try_from(number?).map_err(|_| "too many")?,
            _ => return Err(format!("there is no {name}")),
        }
    }
    Ok(options)
}
