//! A deployment's database, copied and put back as a whole, while nobody works with it.

use sqlx::{AssertSqlSafe, PgPool};
use tests::{Deployment, Stack};

/// A copy.
pub(super) struct Backup {
    admin: PgPool,
    name: String,
}

impl Backup {
    /// Copies the database; the services must be down.
    pub(super) async fn take(stack: &Stack, deployment: &Deployment) -> Self {
        let admin = PgPool::connect(stack.var("DATABASE_URL")).await.unwrap();
        let backup = Self { admin, name: deployment.prefix.trim_end_matches('.').to_owned() };
        // A database with connections, such as those of this test, is not copied.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(sql).bind(&backup.name).fetch_all(&backup.admin).await.unwrap();
        backup.run(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}", name = backup.name)).await;
        backup
    }

    /// Puts the copy in the place of the database.
    pub(super) async fn restore(self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        self.run(&format!("ALTER DATABASE {name}_copy RENAME TO {name}", name = self.name)).await;
        self.admin.close().await;
    }

    async fn run(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&self.admin).await.unwrap();
    }
}
