//! Undecided keys as a table.

use super::super::table::Table;
use privacy::Group;

/// One row for each group.
pub(super) fn table(groups: &[Group]) -> Table {
    let mut table = Table::new(["keys", "reason", "log", "deployment", "meaning"]);
    let known = |id: Option<String>| id.unwrap_or_else(|| "unknown".to_owned());
    for Group { reason, deployment, log, keys } in groups {
        table.row([
            keys.to_string(),
            reason.to_string(),
            known(log.clone()),
            known(deployment.map(|id| id.to_string())),
            reason.in_words().to_owned(),
        ]);
    }
    table
}
