//! Events about users: the data of `users.events`.

use crate::{
    Timestamp,
    personal::{EncodedPersonal, Sealed},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Data of `user.created.v1`. Its sequence is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.created.v1")]
pub struct UserCreated {
    /// When the user was created, which is the order of pages. Milliseconds.
    pub created_at: Timestamp,
    /// Claims and link, sealed.
    #[schemars(with = "Sealed")]
    pub personal: EncodedPersonal,
}

/// Data of `user.updated.v1`: the user's complete new state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.updated.v1")]
pub struct UserUpdated {
    /// Claims and link after the update, sealed.
    #[schemars(with = "Sealed")]
    pub personal: EncodedPersonal,
}

/// Data of `user.deleted.v1`: empty. Deletion is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "user.deleted.v1")]
pub struct UserDeleted {}

/// An event about a user.
#[derive(Debug, Clone, PartialEq)]
pub enum UserEvent {
    /// The user was created.
    Created(UserCreated),
    /// Claims and link were replaced.
    Updated(UserUpdated),
    /// The user was deleted.
    Deleted(UserDeleted),
}

impl UserEvent {
    /// The type under which it is written.
    pub fn event_type(&self) -> crate::EventType {
        match self {
            Self::Created(_) => crate::EventType::UserCreated,
            Self::Updated(_) => crate::EventType::UserUpdated,
            Self::Deleted(_) => crate::EventType::UserDeleted,
        }
    }

    /// The personal data, if the type has any.
    pub fn personal(&self) -> Option<&EncodedPersonal> {
        match self {
            Self::Created(data) => Some(&data.personal),
            Self::Updated(data) => Some(&data.personal),
            Self::Deleted(_) => None,
        }
    }

    /// Whether it contains sealed personal data.
    pub fn is_sealed(&self) -> bool {
        matches!(self.personal(), Some(EncodedPersonal::Sealed(_)))
    }

    /// The record's value: JSON.
    pub fn data(&self) -> Vec<u8> {
        let data = match self {
            Self::Created(data) => serde_json::to_vec(data),
            Self::Updated(data) => serde_json::to_vec(data),
            Self::Deleted(data) => serde_json::to_vec(data),
        };
        // Maps with string keys and finite numbers: serializing these types can't fail.
        data.unwrap_or_default()
    }
}
