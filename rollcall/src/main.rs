//! The command `rollcall`.

fn main() -> std::process::ExitCode {
    rollcall::main()
}
