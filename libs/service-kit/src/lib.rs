//! Mechanism that the services share. It knows tenants, requests and topics, and no word of the domain.

pub mod analytics;
pub mod auth;
pub mod chain;
pub mod cursor;
pub mod database;
pub mod environment;
pub mod fault;
pub mod health;
pub mod instance;
pub mod json;
pub mod kafka;
pub mod metrics;
pub mod operation;
pub mod path;
pub mod pooler;
pub mod position;
pub mod problem;
pub mod query;
pub mod refusal;
pub mod request_id;
pub mod server;
pub mod settings;
pub mod telemetry;
pub mod trace_context;
pub mod usage;
pub mod vacuum;
