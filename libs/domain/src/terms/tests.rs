use super::*;
use proptest::{collection::vec, prelude::*, sample::subsequence};
use serde_json::{Map, json};

fn key(tenant: &str) -> TermKey {
    TermKey::new(&[7; 32].into(), &tenant.parse().unwrap())
}

fn claims(value: &Value) -> Claims {
    value.as_object().unwrap().clone()
}

fn terms(value: &Value) -> BTreeSet<i64> {
    key("acme").of_criteria(&claims(value), LinkParts::default())
}

#[test]
fn every_scalar_has_a_term() {
    let user =
        json!({ "a": 1, "b": { "c": ["x", "x", ["x"], { "d": null }] }, "e": {}, "f": [], "g": [[{}]] });
    assert_eq!(terms(&user).len(), 4);
}

#[test]
fn only_empty_containers_have_none() {
    for criteria in [json!({}), json!({ "a": {} }), json!({ "a": [] }), json!({ "a": [{}, [[]]] })] {
        assert!(terms(&criteria).is_empty(), "{criteria}");
    }
}

#[test]
fn numbers_count_by_value() {
    let of = |number: &str| terms(&serde_json::from_str(&format!(r#"{{"n":{number}}}"#)).unwrap());
    for same in [
        ["1", "1.0"],
        ["1", "10e-1"],
        ["0", "-0.0"],
        ["1e3", "1000"],
        ["1e300", "10e299"],
        ["1e16", "10000000000000000"],
        ["-1.50", "-15e-1"],
        ["0.001", "1E-3"],
    ] {
        assert_eq!(of(same[0]), of(same[1]), "{same:?}");
    }
    let different =
        ["1", "-1", "10", "0.1", "1.01", "18446744073709551615", "18446744073709551614", "1e19", "0"];
    let all: BTreeSet<_> = different.iter().map(|number| of(number)).collect();
    assert_eq!(all.len(), different.len());
}

#[test]
fn a_number_has_one_canonical_text() {
    for same in [["0.001", "1E-3"], ["0.50", "5e-1"], ["-120", "-1.2e+2"], ["0e5", "-0.00"]] {
        assert_eq!(number::canonical(same[0]), number::canonical(same[1]), "{same:?}");
    }
}

#[test]
fn what_postgres_tells_apart_has_different_terms() {
    let different = [
        json!({ "a": "1" }),
        json!({ "a": 1 }),
        json!({ "a": true }),
        json!({ "a": "true" }),
        json!({ "a": false }),
        json!({ "a": null }),
        json!({ "a": "" }),
        json!({ "a": ["1"] }),
        json!({ "a": [["1"]] }),
        json!({ "a": { "b": "1" } }),
        json!({ "a.b": "1" }),
        json!({ "ak": { "b": "1" } }),
        json!({ "a": [{ "b": "1" }] }),
        json!({ "é": "1" }),
        json!({ "e\u{301}": "1" }),
    ];
    let all: BTreeSet<_> = different.iter().map(terms).collect();
    assert_eq!(all.len(), different.len());
}

#[test]
fn another_tenant_or_secret_has_other_terms() {
    let user = claims(&json!({ "a": 1 }));
    let of = |key: TermKey| key.of_criteria(&user, LinkParts::default());
    assert_ne!(of(key("acme")), of(key("acmf")));
    assert_ne!(of(key("acme")), of(TermKey::new(&[8; 32].into(), &"acme".parse().unwrap())));
}

#[test]
fn each_part_of_the_link_has_a_term_of_its_own() {
    let (none, text) = (Claims::new(), "0b5e6f1c-58f1-4b0c-8f0f-4f2c0c7e9a01");
    let of = |link| key("acme").of_criteria(&none, link);
    let provider = of(LinkParts { provider_id: text.parse().ok(), ..LinkParts::default() });
    let url = of(LinkParts { url: Some(text), ..LinkParts::default() });
    let subject = of(LinkParts { subject_id: Some(text), ..LinkParts::default() });
    assert_eq!([&provider, &url, &subject].map(BTreeSet::len), [1; 3]);
    let all = of(LinkParts { provider_id: text.parse().ok(), url: Some(text), subject_id: Some(text) });
    assert_eq!(all, &(&provider | &url) | &subject);
    assert_eq!(all.len(), 3);
}

#[test]
fn a_user_with_too_many_terms_has_one() {
    let key = key("acme");
    let user = |count: usize| claims(&json!({ "a": (0..count).collect::<Vec<_>>() }));
    assert_eq!(key.of_user(&user(MAX_TERMS), LinkParts::default()).len(), MAX_TERMS);
    let oversized = key.of_user(&user(MAX_TERMS + 1), LinkParts::default());
    assert_eq!(oversized, BTreeSet::from([key.oversized()]));
}

/// `@>`, as the documentation of PostgreSQL describes it.
fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| contains(value, part)))
        }
        (Value::Array(items), Value::Array(parts)) => {
            parts.iter().all(|part| items.iter().any(|item| contains(item, part)))
        }
        (Value::Number(a), Value::Number(b)) => {
            number::canonical(&a.to_string()) == number::canonical(&b.to_string())
        }
        _ => value == part,
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        prop_oneof![
            Just(1.0),
            Just(-0.0),
            Just(1e16),
            Just(2.5),
            any::<f64>().prop_filter("finite", |n| n.is_finite())
        ]
        .prop_map(Value::from),
        "[ab1é]{0,2}".prop_map(Value::from),
    ]
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(("[abk]{1,2}", value), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

fn document() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(31, 60, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), object(inner)]
    });
    object(value)
}

/// Something that `value` contains: members and elements are left out, elements repeated.
fn part_of(value: Value) -> BoxedStrategy<Value> {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members.into_iter().collect();
            let count = members.len();
            subsequence(members, 0..=count)
                .prop_flat_map(|kept| {
                    kept.into_iter().map(|(key, value)| (Just(key), part_of(value))).collect::<Vec<_>>()
                })
                .prop_map(|members| Value::Object(members.into_iter().collect()))
                .boxed()
        }
        Value::Array(items) => {
            let repeated: Vec<_> = items.iter().rev().chain(&items).cloned().collect();
            let count = repeated.len();
            subsequence(repeated, 0..=count)
                .prop_flat_map(|kept| kept.into_iter().map(part_of).collect::<Vec<_>>())
                .prop_map(Value::Array)
                .boxed()
        }
        scalar => Just(scalar).boxed(),
    }
}

proptest! {
    #[test]
    fn a_user_has_all_terms_of_what_it_contains(
        (user, criteria) in document().prop_flat_map(|user| (Just(user.clone()), part_of(user)))
    ) {
        prop_assert!(contains(&user, &criteria));
        prop_assert!(terms(&criteria).is_subset(&terms(&user)));
    }

    #[test]
    fn so_does_one_that_contains_it_by_chance(user in document(), criteria in document()) {
        prop_assert!(!contains(&user, &criteria) || terms(&criteria).is_subset(&terms(&user)));
    }

    #[test]
    fn a_scalar_in_an_object_is_found_by_its_term_alone(user in document(), value in scalar()) {
        let criteria = json!({ "a": value });
        prop_assert_eq!(terms(&criteria).is_subset(&terms(&user)), contains(&user, &criteria));
    }
}
