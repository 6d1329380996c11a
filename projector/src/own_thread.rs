//! Threads that run one future, each on a runtime of its own, so that nothing else delays it.

/// sqlx is compiled into the functions that call it, and their frames take up to 200 KiB each. A
/// batch needs about 1 MiB, half of a thread's usual stack.
const STACK: usize = 8 << 20;

/// Runs the future that `work` makes, until its end.
///
/// # Errors
/// The thread or its runtime can't be created.
pub(crate) fn spawn<F: Future<Output = ()>>(
    name: impl Into<String>,
    work: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(name.into()).stack_size(STACK);
    thread.spawn(move || runtime.block_on(work()))?;
    Ok(())
}
