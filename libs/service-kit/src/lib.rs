//! What the services share: what happens around an operation, settings, telemetry, database pools
//! and the Kafka client. It knows tenants, requests and topics, but nothing about the domain.

mod allocator;
pub mod analytics;
pub mod atomic_file;
pub mod auth;
pub mod command_line;
pub mod cursor;
pub mod database;
pub mod environment;
pub mod errors;
pub mod failpoint;
pub mod file_version;
pub mod health;
pub mod instance;
pub mod json;
pub mod kafka;
pub mod metrics;
pub mod operation;
pub mod path;
pub mod position;
pub mod problem;
pub mod program;
pub mod query;
pub mod request_id;
pub mod server;
pub mod settings;
pub mod telemetry;
pub mod trace_context;
pub mod vacuum;
pub mod validation;
