//! The SUCCESS of the request that led to an accepted domain event. Pure.

use domain::{codec::open, evolve::user::Fact};
use events_schema::{
    EventType, UserRecord,
    analytics::{AnalyticEvent, CATEGORY, Level, Operation, Phase, VERSION},
    personal::Personal,
    user::UserEvent,
};
use key_store::KeyRing;
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

/// Never changes, so that the SUCCESS of a domain event always has the same id.
const NAMESPACE: Uuid = uuid!("5b1f3c9e-0c43-4b5c-9a54-7d0f6f2f1d6a");

/// The SUCCESS of a change. `None` if no request asked for the change, as in an import.
///
/// `timestamp` is the time of the domain event. The time of deriving could be hours later, after an
/// outage. It is never before the time of the START. `keys` are needed only for the full level.
pub(super) fn success(record: UserRecord, level: Level, keys: &KeyRing) -> Option<AnalyticEvent> {
    let request_id = record.request_id.clone()?;
    let operation = match &record.event {
        UserEvent::Created(_) => Operation::Create,
        UserEvent::Updated(_) => Operation::Update,
        UserEvent::Deleted(_) => Operation::Delete,
    };
    Some(AnalyticEvent {
        id: Uuid::new_v5(&NAMESPACE, record.id.as_bytes()),
        event_type: operation.analytic_type(Phase::Success).into(),
        category: CATEGORY.into(),
        request_id,
        request_ip: None,
        tenant_id: record.key.tenant.clone(),
        client_id: record.client_id.clone(),
        timestamp: record.time,
        version: VERSION.into(),
        traceparent: record.traceparent.clone(),
        data: data(record, level, keys),
    })
}

fn data(record: UserRecord, level: Level, keys: &KeyRing) -> Option<Map<String, Value>> {
    if level == Level::Metadata {
        return None;
    }
    let user = record.key.user;
    let mut data = Map::from_iter([("id".to_owned(), json!(user))]);
    if record.event.event_type() == EventType::UserDeleted {
        data.insert("deleted".to_owned(), true.into());
    } else if level == Level::Full
        // The data of a user who was deleted meanwhile can't be opened and is left out.
        && let Ok(Fact::Created(_, written) | Fact::Updated(written)) = open(record, keys)
    {
        data.insert("user".to_owned(), body(user, written.personal));
    }
    Some(data)
}

/// The user as the API shows it.
fn body(user: Uuid, personal: Personal) -> Value {
    let mut body =
        Map::from_iter([("id".to_owned(), json!(user)), ("claims".to_owned(), personal.claims.into())]);
    if let Some(link) = personal.authentication_provider {
        body.insert("authenticationProvider".to_owned(), json!(link));
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_schema::{
        UserKey,
        personal::EncodedPersonal,
        user::{UserCreated, UserDeleted, UserUpdated},
    };

    const USER: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

    fn personal() -> EncodedPersonal {
        let personal = json!({"claims": {"b": 1, "a": 2}, "authenticationProvider": {"subjectId": "s"}});
        EncodedPersonal::Plain(serde_json::from_value(personal).unwrap())
    }

    fn record(event: UserEvent) -> UserRecord {
        UserRecord {
            id: Uuid::from_u128(7),
            ce_type: event.event_type().as_str(),
            key: format!("acme/{USER}").parse::<UserKey>().unwrap(),
            sequence: 1,
            key_id: None,
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            request_id: Some("r-1".to_owned()),
            client_id: Some("c-1".to_owned()),
            traceparent: Some("t-1".to_owned()),
            event,
        }
    }

    fn created() -> UserRecord {
        let created_at = "2001-01-01T00:00:00Z".parse().unwrap();
        record(UserEvent::Created(UserCreated { created_at, personal: personal() }))
    }

    fn updated() -> UserRecord {
        record(UserEvent::Updated(UserUpdated { personal: personal() }))
    }

    fn deleted() -> UserRecord {
        record(UserEvent::Deleted(UserDeleted {}))
    }

    #[track_caller]
    fn says(record: UserRecord, level: Level, event_type: &str, data: Value) {
        let event = success(record, level, &KeyRing::new()).unwrap();
        assert_eq!(event.event_type, event_type);
        assert_eq!(json!(event.data), data);
    }

    #[test]
    fn the_envelope_is_from_the_request() {
        let event = success(updated(), Level::NonSensitive, &KeyRing::new()).unwrap();
        let wanted = json!({
            "id": Uuid::new_v5(&NAMESPACE, Uuid::from_u128(7).as_bytes()), "type": "USER_UPDATE_SUCCESS", "category": "user",
            "requestId": "r-1", "tenantId": "acme", "clientId": "c-1", "timestamp": "2026-01-02T03:04:05.678Z",
            "version": "1", "data": {"id": USER},
        });
        assert_eq!(json!(event), wanted);
        assert_eq!(event, success(updated(), Level::NonSensitive, &KeyRing::new()).unwrap());
    }

    #[test]
    fn each_level_contains_what_it_may() {
        let id = json!({"id": USER});
        let gone = json!({"id": USER, "deleted": true});
        let link = json!({"subjectId": "s"});
        let user = json!({"id": USER, "claims": {"b": 1, "a": 2}, "authenticationProvider": link});
        let full = json!({"id": USER, "user": user});
        for (record, name) in [(created(), "USER_CREATE_SUCCESS"), (updated(), "USER_UPDATE_SUCCESS")] {
            says(record.clone(), Level::Metadata, name, Value::Null);
            says(record.clone(), Level::NonSensitive, name, id.clone());
            says(record, Level::Full, name, full.clone());
        }
        says(deleted(), Level::Metadata, "USER_DELETE_SUCCESS", Value::Null);
        says(deleted(), Level::NonSensitive, "USER_DELETE_SUCCESS", gone.clone());
        says(deleted(), Level::Full, "USER_DELETE_SUCCESS", gone);
    }

    #[test]
    fn an_import_has_none() {
        assert_eq!(success(UserRecord { request_id: None, ..created() }, Level::Full, &KeyRing::new()), None);
    }
}
