//! The operator's program.

fn main() -> std::process::ExitCode {
    rollcall::main()
}
