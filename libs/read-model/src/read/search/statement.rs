//! The statements of a search. Each has one possible plan, whatever the statistics say: ordered
//! subqueries with limits, on connections that [`fixed_plans`] has set up.

use sqlx::PgPool;

macro_rules! statement {
    ($($candidates:literal),+; $entries:literal) => {
        concat!(
            $(include_str!($candidates),)+
            include_str!("matches.sql"),
            include_str!($entries),
            include_str!("end.sql")
        )
    };
}

/// A statement for small entries, and one for the first entries.
macro_rules! both {
    ($($candidates:literal),+) => {
        [statement!($($candidates),+; "small_entries.sql"), statement!($($candidates),+; "first_entries.sql")]
    };
}

const NO_TERM: [&str; 2] = both!("no_term.sql");
const ONE_TERM: [&str; 2] = both!("one_term.sql", "with_oversized.sql");
const SEVERAL_TERMS: [&str; 2] = both!("several_terms.sql", "with_oversized.sql");

/// Planner settings that leave no choice.
const FIXED: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Which entries of a page a statement returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    /// All, without the bodies of large ones.
    Small,
    /// The first ones that fit into the page.
    First,
}

/// The statement for criteria with that many terms.
pub(super) fn statement(terms: usize, entries: Entries) -> &'static str {
    let [small, first] = match terms {
        0 => NO_TERM,
        1 => ONE_TERM,
        _ => SEVERAL_TERMS,
    };
    if entries == Entries::Small { small } else { first }
}

/// Sets up the connections of a pool for searches by postings.
#[must_use]
pub fn fixed_plans(pool: PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool.set_connect_options(options.options(FIXED));
    pool
}
