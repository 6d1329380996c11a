//! The cache of users in Redis: the names of its keys and the form of its values.
//!
//! | key | value |
//! |---|---|
//! | `rollcall:<prefix>{<partition>}:<generation>:<tenant>/<user>` | `<version>\n<body>`, or an invalidation: `<version>\n` |
//! | `rollcall:<prefix>{<partition>}:lease` | `<run id of the server>/<generation>` |
//! | `rollcall:<prefix>{<partition>}:next` | `<generation>/<cache version>/<progress>`; a cache
//! version is `<nonce>.<revision>`, see [`values::Progress`] |
//! | `rollcall:<prefix>health` | empty; a health check writes it |
//!
//! The partition is a hash tag, so that all keys of one partition lie on the same node of a Redis
//! cluster.

mod keys;
pub mod peek;
pub mod values;

pub use keys::{CacheKeys, generation_of};
