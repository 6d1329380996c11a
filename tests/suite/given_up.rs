//! A caller may give up at any moment. The next one gets a connection that nothing is left on.

use service_kit::database::{Role, pool};
use sqlx::{Connection as _, PgPool, postgres::PgPoolCopyExt as _};
use tests::{Stack, new_database};

const TIMES: i32 = 50;

/// A pool of one connection, so that the next caller gets the same one, with a table.
async fn one_connection(stack: &Stack, database: &str) -> (PgPool, String) {
    let (url, _) = new_database(stack, database).await;
    let pool = pool(&url, Role::Projector, 1).unwrap();
    sqlx::query("CREATE TABLE numbers (n integer)").execute(&pool).await.unwrap();
    (pool, url)
}

async fn sum(url: &str) -> i64 {
    let others = pool(url, Role::Projector, 1).unwrap();
    sqlx::query_scalar("SELECT sum(n) FROM numbers").fetch_one(&others).await.unwrap()
}

pub async fn a_write_after_a_begin_that_was_given_up_is_kept(stack: &'static Stack) {
    let (pool, url) = one_connection(stack, "given_up_begin").await;
    let mut given_up = 0;
    for _ in 0..TIMES {
        let mut connection = pool.acquire().await.unwrap();
        // The statement is sent, and nobody waits for the answer, unless it is there already.
        given_up += i32::from(futures_util::poll!(std::pin::pin!(connection.begin())).is_pending());
        drop(connection);
        sqlx::query("INSERT INTO numbers VALUES (1)").execute(&pool).await.unwrap();
    }
    assert!(given_up > 0);
    assert_eq!(sum(&url).await, i64::from(TIMES));
}

pub async fn a_statement_after_a_copy_that_was_given_up_gets_its_own_answer(stack: &'static Stack) {
    let (pool, _) = one_connection(stack, "given_up_copy").await;
    let mut given_up = 0;
    for n in 0..TIMES {
        let mut copy = pool.copy_in_raw("COPY numbers FROM STDIN").await.unwrap();
        copy.send(b"1\n".as_slice()).await.unwrap();
        given_up += i32::from(futures_util::poll!(std::pin::pin!(copy.finish())).is_pending());
        let answer: i32 = sqlx::query_scalar("SELECT $1").bind(n).fetch_one(&pool).await.unwrap();
        assert_eq!(answer, n);
    }
    assert!(given_up > 0);
}
