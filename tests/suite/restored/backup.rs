//! Copies and restores a deployment's database while nobody uses it.

use sqlx::{AssertSqlSafe, PgPool};
use tests::{Deployment, Stack};

/// A copy of the database.
pub(super) struct Backup {
    admin: PgPool,
    name: String,
}

impl Backup {
    /// Copies the database. The services must be stopped.
    pub(super) async fn take(stack: &Stack, deployment: &Deployment) -> Self {
        let admin = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
        let backup = Self { admin, name: deployment.prefix.trim_end_matches('.').to_owned() };
        // PostgreSQL does not copy a database with connections, such as those of this test.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(sql).bind(&backup.name).fetch_all(&backup.admin).await.unwrap();
        backup.run(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}", name = backup.name)).await;
        backup
    }

    /// Replaces the database by the copy.
    pub(super) async fn restore(self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        self.run(&format!("ALTER DATABASE {name}_copy RENAME TO {name}", name = self.name)).await;
        self.admin.close().await;
    }

    async fn run(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&self.admin).await.unwrap();
    }
}
