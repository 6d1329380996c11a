//! The one owner of the read model: tables, migrations, statements, Redis keys and scripts, announcements.
