//! Which generation a verb is about, and whether that verb may use it.

use super::{
    report::{PromoteOptions, Which},
    source::Source,
};
use anyhow::Context as _;
use events_schema::millis;
use read_model::{
    generation::{GenerationState, check_readable},
    operate::generations::{self, Standing},
};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// A generation that may be verified or promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) generation: i32,
    /// Whether it is live already.
    pub(super) is_live: bool,
}

/// The generation to promote.
pub(super) async fn candidate(
    pool: &PgPool,
    source: &Source<'_>,
    options: &PromoteOptions,
) -> anyhow::Result<Candidate> {
    let mut connection = pool.acquire().await?;
    let generation = find(&mut connection, options.which).await?;
    let standing = standing(&mut connection, generation).await?;
    if standing.state == GenerationState::Live {
        return Ok(Candidate { generation, is_live: true });
    }
    check(generation, &standing, source)?;
    // A retired one has served before. One of another log has nothing that it could be compared with.
    let needs_proof =
        standing.state == GenerationState::Built && !source.is_another && !options.accept_set_aside;
    anyhow::ensure!(
        standing.verified_at.is_some() || options.unverified || !needs_proof,
        unproved(generation, standing.differed_at, "")
    );
    Ok(Candidate { generation, is_live: false })
}

/// Why a generation that was not found equal to the live one is not promoted, and what to do. `of`
/// is the option that names its projection.
pub(crate) fn unproved(generation: i32, differed_at: Option<OffsetDateTime>, of: &str) -> String {
    let verify = format!("`rollcall projection verify {generation}{of}`");
    match differed_at.map(millis) {
        None => format!(
            "generation {generation} was never compared with the live one: run {verify}, which names what differs, or pass --unverified"
        ),
        Some(at) => format!(
            "generation {generation} was compared with the live one and differs (at {at}): {verify} names what differs. If it is right \
             and the live one is wrong, pass --unverified"
        ),
    }
}

/// The generation to compare with the live one.
pub(super) async fn comparable(
    pool: &PgPool,
    source: &Source<'_>,
    generation: Option<i32>,
) -> anyhow::Result<i32> {
    anyhow::ensure!(
        !source.is_another,
        "the live generation is folded from another log than the one in Kafka, so no generation can be compared with it"
    );
    let mut connection = pool.acquire().await?;
    let generation = find(&mut connection, Which::Built(generation)).await?;
    let standing = standing(&mut connection, generation).await?;
    anyhow::ensure!(
        standing.state != GenerationState::Live,
        "generation {generation} is the live one: name another one, which is then compared with it"
    );
    check(generation, &standing, source)?;
    Ok(generation)
}

async fn find(connection: &mut PgConnection, which: Which) -> anyhow::Result<i32> {
    match which {
        Which::Built(Some(generation)) => Ok(generation),
        Which::Built(None) => generations::newest(connection, GenerationState::Built).await?.context(
            "no generation is built and waiting: `rollcall projection rebuild` builds one, and `rollcall projection list` shows all",
        ),
        Which::Former => generations::former(connection)
            .await?
            .context("there is no retired generation to go back to: `rollcall projection list` shows all"),
    }
}

async fn standing(connection: &mut PgConnection, generation: i32) -> anyhow::Result<Standing> {
    let standing = generations::standing(connection, generation).await?;
    standing
        .with_context(|| format!("there is no generation {generation}: `rollcall projection list` shows all"))
}

fn check(generation: i32, standing: &Standing, source: &Source<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(
        standing.state != GenerationState::Building,
        "generation {generation} is not built yet: wait for its rebuild, or finish it with `rollcall projection rebuild --resume`"
    );
    check_readable(generation, standing.fold_version)?;
    anyhow::ensure!(
        source.epoch == Some(standing.log_epoch),
        "generation {generation} is folded from another log than the one in Kafka"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unproved;
    use time::OffsetDateTime;

    #[test]
    fn a_refusal_tells_never_compared_from_different() {
        let never = unproved(2, None, "");
        assert!(
            never.contains("never compared") && never.contains("`rollcall projection verify 2`"),
            "{never}"
        );
        let differs = unproved(2, Some(OffsetDateTime::UNIX_EPOCH), " --projection statistics");
        assert!(differs.contains("compared with the live one and differs (at 1970"), "{differs}");
        assert!(differs.contains("`rollcall projection verify 2 --projection statistics`"), "{differs}");
    }
}
