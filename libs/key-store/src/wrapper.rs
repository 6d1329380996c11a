//! What wraps data keys: a master key, wherever it is kept.

use super::KeysError;
use domain::codec::Secret;
use futures_util::{FutureExt as _, future::BoxFuture};

/// A data key in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// The id of the master key under which it is wrapped.
    pub(super) master: String,
    pub(super) bytes: Vec<u8>,
}

/// A data key with the additional data of its wrapping, so that no stored key can be put in
/// another's place.
pub(super) struct PlainKey {
    pub(super) aad: String,
    pub(super) secret: Secret,
}

/// A stored data key with the additional data of its wrapping.
pub(super) struct WrappedKey {
    pub(super) aad: String,
    pub(super) wrapped: Wrapped,
}

pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, KeysError>>;

/// Keeps master keys and wraps data keys under them.
pub(super) trait Wrapper: Send + Sync {
    /// The setting that says where they are.
    fn setting(&self) -> &'static str;

    /// Checks what can be checked without a request.
    fn check_local(&self) -> Result<(), KeysError>;

    /// Keeps its credentials valid for as long as the process lives. A file has none.
    fn maintain(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    /// Creates the first master key, if there is none.
    fn create_first(&self) -> Answer<'_, ()>;

    /// The id of the current master key.
    fn current(&self) -> Answer<'_, String>;

    /// Checks that all of these master keys exist. The error says which is missing, worded for the
    /// operator.
    fn check_has(&self, masters: Vec<String>) -> Answer<'_, ()>;

    /// Wraps under the current master key, in the given order.
    fn wrap(&self, keys: Vec<PlainKey>) -> Answer<'_, Vec<Wrapped>>;

    /// Unwraps, in the given order. `None` for a key that its master key does not open.
    fn unwrap(&self, keys: Vec<WrappedKey>) -> Answer<'_, Vec<Option<Secret>>>;

    /// Makes a new master key the current one and returns its id. Earlier ones still unwrap.
    fn rotate(&self) -> Answer<'_, String>;

    /// Destroys every master key but the current one, as far as possible.
    fn retire(&self) -> Answer<'_, ()>;
}
