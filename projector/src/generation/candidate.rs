//! Which generation a verb is about, and whether that verb may use it.

use super::{
    report::{PromoteOptions, Which},
    source::Source,
};
use anyhow::Context as _;
use read_model::{
    generation::check_readable,
    operate::generations::{self, Standing},
};
use sqlx::{PgConnection, PgPool};

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
    if standing.state == "live" {
        return Ok(Candidate { generation, is_live: true });
    }
    check(generation, &standing, source)?;
    // A retired one has served before. One of another log has nothing that it could be compared with.
    let needs_proof = standing.state == "built" && !source.is_another && !options.accept_set_aside;
    anyhow::ensure!(
        standing.is_verified || options.unverified || !needs_proof,
        "generation {generation} was not found equal to the live one: run `rollcall projection verify {generation}`, which names what \
         differs, or pass --unverified"
    );
    Ok(Candidate { generation, is_live: false })
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
        standing.state != "live",
        "generation {generation} is the live one: name another one, which is then compared with it"
    );
    check(generation, &standing, source)?;
    Ok(generation)
}

async fn find(connection: &mut PgConnection, which: Which) -> anyhow::Result<i32> {
    match which {
        Which::Built(Some(generation)) => Ok(generation),
        Which::Built(None) => generations::newest(connection, "built").await?.context(
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
        standing.state != "building",
        "generation {generation} is not built yet: wait for its rebuild, or finish it with `rollcall projection rebuild --resume`"
    );
    check_readable(generation, standing.fold_version)?;
    anyhow::ensure!(
        source.epoch == Some(standing.log_epoch),
        "generation {generation} is folded from another log than the one in Kafka"
    );
    Ok(())
}
