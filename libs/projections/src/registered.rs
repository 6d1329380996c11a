//! The projections of this build. Register yours in [`REGISTERED`].

use crate::{Event, Projection, Refusal, Table, Tables, statistics::Statistics};
use events_schema::TenantId;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every projection beside the users.
static REGISTERED: &[Registered] = &[Registered::of::<Statistics>()];

/// In the tests of the framework.
#[cfg(feature = "failpoints")]
static FRAGILE: Registered = Registered::of::<crate::fragile::Fragile>();

/// A projection, as the framework sees it.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    /// [`Projection::NAME`].
    pub name: &'static str,
    /// [`Projection::FOLD_VERSION`].
    pub fold_version: i32,
    /// [`Projection::TABLES`].
    pub tables: &'static [Table],
    /// [`Projection::SQL`].
    pub sql: &'static str,
    fold: fn(&[Event]) -> Folded,
    query: for<'t> fn(&'t mut Tables<'_>, &'t TenantId) -> Answer<'t>,
}

type Folded = Result<Box<dyn Changes>, Unfolded>;
type Answer<'t> = BoxFuture<'t, sqlx::Result<Value>>;

/// The changes of a batch.
pub trait Changes: Send {
    /// Applies them.
    fn apply<'t>(self: Box<Self>, tables: &'t mut Tables<'_>) -> BoxFuture<'t, sqlx::Result<()>>;
}

/// An event that could not be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfolded {
    /// Its place in the batch.
    pub index: usize,
    /// The reason. `None`: the fold panicked.
    pub refusal: Option<Refusal>,
}

struct ChangesOf<P: Projection>(Vec<P::Change>);

impl<P: Projection> Changes for ChangesOf<P> {
    fn apply<'t>(self: Box<Self>, tables: &'t mut Tables<'_>) -> BoxFuture<'t, sqlx::Result<()>> {
        if self.0.is_empty() { Box::pin(async { Ok(()) }) } else { Box::pin(P::apply(tables, self.0)) }
    }
}

impl Registered {
    const fn of<P: Projection>() -> Self {
        Self {
            name: P::NAME,
            fold_version: P::FOLD_VERSION,
            tables: P::TABLES,
            sql: P::SQL,
            fold: fold::<P>,
            query: query::<P>,
        }
    }

    /// The names of all its tables.
    #[must_use]
    pub fn table_names(&self) -> Vec<&'static str> {
        self.tables.iter().map(|table| table.name).collect()
    }

    /// The names of those that hold personal data.
    #[must_use]
    pub fn personal_tables(&self) -> Vec<&'static str> {
        self.tables.iter().filter(|table| table.is_personal).map(|table| table.name).collect()
    }

    /// Folds a batch.
    ///
    /// # Errors
    /// The first event that can't be folded.
    pub fn fold(&self, events: &[Event]) -> Result<Box<dyn Changes>, Unfolded> {
        (self.fold)(events)
    }

    /// Asks a generation about a tenant.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn query(&self, tables: &mut Tables<'_>, tenant: &TenantId) -> sqlx::Result<Value> {
        (self.query)(tables, tenant).await
    }
}

/// All projections.
pub fn registered() -> impl Iterator<Item = &'static Registered> {
    #[cfg(feature = "failpoints")]
    let fragile = service_kit::failpoint::is_on("projection.fragile").then_some(&FRAGILE);
    #[cfg(not(feature = "failpoints"))]
    let fragile: Option<&'static Registered> = None;
    REGISTERED.iter().chain(fragile)
}

/// The projection with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Registered> {
    registered().find(|projection| projection.name == name)
}

fn fold<P: Projection>(events: &[Event]) -> Folded {
    let mut changes = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let folded = catch_unwind(AssertUnwindSafe(|| P::fold(event)));
        let folded = folded.map_err(|_| Unfolded { index, refusal: None })?;
        changes.extend(folded.map_err(|refusal| Unfolded { index, refusal: Some(refusal) })?);
    }
    Ok(Box::new(ChangesOf::<P>(changes)))
}

fn query<'t, P: Projection>(tables: &'t mut Tables<'_>, tenant: &'t TenantId) -> Answer<'t> {
    Box::pin(P::query(tables, tenant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn is_name(name: &str) -> bool {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (1..=32).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(is_allowed)
    }

    #[test]
    fn names_are_distinct_and_fit_a_schema() {
        let names: Vec<_> = registered().map(|projection| projection.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for projection in registered() {
            assert!(is_name(projection.name), "{}", projection.name);
            assert!(projection.tables.iter().all(|table| is_name(table.name)), "{:?}", projection.tables);
            assert!(projection.fold_version > 0 && projection.sql.contains("{p}"));
        }
        assert!(named("statistics").is_some() && named("nonsense").is_none());
    }
}
