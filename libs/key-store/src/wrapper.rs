//! What wraps data keys: a master key, wherever that is.

use super::KeysError;
use domain::codec::Secret;
use futures_util::{FutureExt as _, future::BoxFuture};

/// A data key as it may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapped {
    /// The id of the master key under which it is wrapped.
    pub(super) master: String,
    pub(super) bytes: Vec<u8>,
}

/// A data key with what its wrapping is bound to, so that no stored key can be put in another's place.
pub(super) struct PlainKey {
    pub(super) aad: String,
    pub(super) secret: Secret,
}

/// A stored data key with what its wrapping is bound to.
pub(super) struct WrappedKey {
    pub(super) aad: String,
    pub(super) wrapped: Wrapped,
}

pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, KeysError>>;

/// A keeper of master keys.
pub(super) trait Wrapper: Send + Sync {
    /// The setting that says where they are.
    fn setting(&self) -> &'static str;

    /// What can be said of it without asking anybody.
    fn look(&self) -> Result<(), KeysError>;

    /// Keeps its credentials valid for as long as the process lives. A file has none.
    fn tend(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    /// Makes the first master key, if there is none.
    fn make(&self) -> Answer<'_, ()>;

    /// The id of the master key that wraps now.
    fn current(&self) -> Answer<'_, String>;

    /// Whether it has all of these master keys; else it says which is missing, in words for the operator.
    fn has(&self, masters: Vec<String>) -> Answer<'_, ()>;

    /// Wraps under the current master key, in the order given.
    fn wrap(&self, keys: Vec<PlainKey>) -> Answer<'_, Vec<Wrapped>>;

    /// Unwraps, in the order given; `None` is one that the master key of that id does not open.
    fn unwrap(&self, keys: Vec<WrappedKey>) -> Answer<'_, Vec<Option<Secret>>>;

    /// Makes another master key the current one, and gives its id; those before it go on to unwrap.
    fn rotate(&self) -> Answer<'_, String>;

    /// Destroys every master key but the current one, as far as that is in its power.
    fn retire(&self) -> Answer<'_, ()>;
}
