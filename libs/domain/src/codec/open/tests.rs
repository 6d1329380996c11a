use super::*;
use events_schema::{EventType, UserKey, personal::Base64, user::UserUpdated};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

const USER: &str = "0c3fad74-a8df-4a2d-8e75-f2d356b413ba";

fn user(tenant: &str, id: u128) -> UserKey {
    UserKey { tenant: tenant.parse().unwrap(), user: Uuid::from_u128(id) }
}

fn personal(n: u8) -> Personal {
    serde_json::from_value(serde_json::json!({ "claims": { "n": n } })).unwrap()
}

fn sealed(key: &DataKey, binding: &Binding<'_>, personal: &Personal) -> Sealed {
    let sealed = key.seal(binding.associated_data().as_bytes(), &personal.plaintext()).unwrap();
    Sealed { nonce: Base64(sealed.nonce), ciphertext: Base64(sealed.ciphertext) }
}

fn updated(key: &UserKey, data_key: &DataKey) -> UserRecord {
    let binding = Binding { key, ce_type: EventType::UserUpdated.as_str(), sequence: 2 };
    let personal = EncodedPersonal::Sealed(sealed(data_key, &binding, &personal(1)));
    UserRecord {
        id: Uuid::nil(),
        ce_type: EventType::UserUpdated.as_str(),
        key: key.clone(),
        sequence: 2,
        time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        key_id: Some(data_key.id()),
        request_id: None,
        client_id: None,
        traceparent: None,
        event: UserEvent::Updated(UserUpdated { personal }),
    }
}

fn ring(key: &UserKey, data_key: &DataKey) -> KeyRing {
    KeyRing::from([(owner(key), Arc::new(data_key.clone()))])
}

#[test]
fn a_fact_is_opened_with_its_own_key_alone() {
    let (key, data_key, other) =
        (format!("acme/{USER}").parse().unwrap(), DataKey::random().unwrap(), DataKey::random().unwrap());
    let record = updated(&key, &data_key);
    let written = OpenedPersonal { personal: personal(1), key_id: Some(data_key.id()) };
    assert_eq!(open(record.clone(), &ring(&key, &data_key)), Ok(Fact::Updated(written)));
    assert_eq!(open(record.clone(), &KeyRing::new()), Err(ReasonCode::KeyMissing));
    assert_eq!(
        open(record.clone(), &ring(&key, &other)),
        Err(ReasonCode::KeyMissing),
        "another key of the user is not the one"
    );
    let moved = UserRecord { sequence: 3, ..record };
    assert_eq!(open(moved, &ring(&key, &data_key)), Err(ReasonCode::NotOpened));
}

#[test]
fn what_is_older_than_keys_needs_none() {
    let key = format!("acme/{USER}").parse().unwrap();
    let event = UserEvent::Updated(UserUpdated { personal: EncodedPersonal::Plain(personal(7)) });
    let record = UserRecord { event, key_id: None, ..updated(&key, &DataKey::random().unwrap()) };
    let written = OpenedPersonal { personal: personal(7), key_id: None };
    assert_eq!(open(record, &KeyRing::new()), Ok(Fact::Updated(written)));
}

proptest! {
    #[test]
    fn any_change_of_tenant_id_type_or_sequence_closes_it(
        tenant in "[A-Za-z0-9._-]{1,12}", other_tenant in "[A-Za-z0-9._-]{1,12}",
        id in any::<u128>(), other_id in any::<u128>(),
        sequence in 1..u64::MAX, other_sequence in 1..u64::MAX,
        is_created in any::<bool>(), is_other_created in any::<bool>(),
        n in any::<u8>(),
    ) {
        let event_type = |is_created| if is_created { EventType::UserCreated } else { EventType::UserUpdated };
        let ce_type = |is_created| event_type(is_created).as_str();
        let (key, other) = (user(&tenant, id), user(&other_tenant, other_id));
        let binding = Binding { key: &key, ce_type: ce_type(is_created), sequence };
        let data_key = DataKey::random().unwrap();
        let part = sealed(&data_key, &binding, &personal(n));
        prop_assert_eq!(unseal(&part, &binding, &data_key), Some(personal(n)));
        let changed = [
            Binding { key: &UserKey { tenant: other.tenant.clone(), ..key.clone() }, ..binding },
            Binding { key: &UserKey { user: other.user, ..key.clone() }, ..binding },
            Binding { ce_type: ce_type(is_other_created), ..binding },
            Binding { sequence: other_sequence, ..binding },
        ];
        for changed in changed {
            let is_same = changed.associated_data() == binding.associated_data();
            prop_assert_eq!(unseal(&part, &changed, &data_key).is_some(), is_same);
        }
    }
}
