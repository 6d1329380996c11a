//! The rows of the table: what is measured, and against what.

use crate::{load::Request, raw::Call, twin::Kind};

/// A row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    pub(crate) connections: usize,
    /// What the servers do alone. The latencies of several add up, the rate is that of the last.
    pub(crate) raw: &'static [Call],
    pub(crate) twins: &'static [Kind],
    pub(crate) target: &'static str,
}

/// Every row.
pub(crate) const ALL: [Row; 10] = [
    Row {
        name: "R1 GET by id, 64 connections",
        request: Request::Get,
        connections: 64,
        raw: &[Call::Select],
        twins: &[Kind::Crud, Kind::Bare],
        target: "rate >= 1.3 x crud, >= 0.5 x bare",
    },
    Row {
        name: "R2 list of 100, first page, 8 connections",
        request: Request::Page(0),
        connections: 8,
        raw: &[],
        twins: &[Kind::Crud],
        target: "rate >= 1.0 x crud",
    },
    Row {
        name: "R2 list of 100, deep page, 8 connections",
        request: Request::Page(1),
        connections: 8,
        raw: &[],
        twins: &[Kind::Crud],
        target: "rate >= 1.0 x crud; within 1.2 x of the first page",
    },
    Row {
        name: "R4 PUT until visible, one writer",
        request: Request::Put,
        connections: 1,
        raw: &[Call::Append, Call::Update],
        twins: &[Kind::Crud],
        target: "p50 <= 2 x, p99 <= 4 x (append + commit)",
    },
    Row {
        name: "R5 PUT until visible, 8 writers",
        request: Request::Put,
        connections: 8,
        raw: &[],
        twins: &[Kind::Crud],
        target: "",
    },
    Row {
        name: "R5 PUT until visible, 16 writers",
        request: Request::Put,
        connections: 16,
        raw: &[],
        twins: &[Kind::Crud],
        target: "",
    },
    Row {
        name: "R5 PUT until visible, 64 writers",
        request: Request::Put,
        connections: 64,
        raw: &[Call::Update],
        twins: &[Kind::Crud, Kind::Searchable],
        target: "rate >= 1.0 x crud; p99 <= 4 x p50",
    },
    Row {
        name: "R5 POST until visible, 64 writers",
        request: Request::Post,
        connections: 64,
        raw: &[],
        twins: &[Kind::Crud, Kind::Searchable],
        target: "rate >= 0.8 x PUT",
    },
    Row {
        name: "R5 DELETE of a new user, 16 writers",
        request: Request::Delete,
        connections: 16,
        raw: &[],
        twins: &[Kind::Crud],
        target: "",
    },
    Row {
        name: "R8 GET by id with analytic events, 64 connections",
        request: Request::Get,
        connections: 64,
        raw: &[],
        twins: &[Kind::Query, Kind::Silent],
        target: "query >= 0.9 x silent",
    },
];
