//! Whether this process can do its work, dependency by dependency.
// STUB: helper S1.

use futures_util::future::BoxFuture;

/// The checks of `/health/ready`. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {}

impl Health {
    /// Adds a named dependency; `check` says in words what is wrong (bounded to 1 s, run when asked, never with secrets in the text).
    pub fn add(&self, _name: &'static str, _check: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static) {
        unimplemented!()
    }
}
