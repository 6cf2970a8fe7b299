//! What a route says of itself: the words, and the types that it reads and writes. Without them a row of [`ROUTES`](super::router::ROUTES) does not compile.
//!
//! Types, not schemas: [`super::openapi`] asks them for theirs. What holds for every route of a kind (`fields`, `Idempotency-Key`, 401 …) is not said here.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::api::{ProblemKind, WriteQuery};

/// Gives the schema of one type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What comes back if nothing is wrong.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    /// JSON of this type.
    Json(Shape),
    /// Something else: its media type.
    Other(&'static str),
    /// 204: there is nothing to say.
    Nothing,
    /// Nothing: the connection speaks another protocol from here on (RFC 9110, section 7.8).
    Switch,
}

/// Whether `If-Match` is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It is not.
    None,
    /// It may be sent.
    Optional,
    /// It must be.
    Required,
}

/// What a route says of itself.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// `operationId`, for generated clients.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub reply: Reply,
    /// Parameters of the query string; `None`: it takes none.
    pub query: Option<Shape>,
    pub body: Option<Shape>,
    pub condition: Condition,
    /// It makes something: 201, and 200 for a dry run.
    pub makes: bool,
    /// 200 has a twin with 503: probes go by the status.
    pub or_unavailable: bool,
    /// Refusals that its kind does not imply.
    pub refuses: &'static [ProblemKind],
}

/// A route that replies with JSON of type `T`.
pub(super) const fn says<T: JsonSchema>(id: &'static str, summary: &'static str) -> Words {
    let reply = Reply::Json(SchemaGenerator::subschema_for::<T>);
    Words { id, summary, reply, query: None, body: None, condition: Condition::None, makes: false, or_unavailable: false, refuses: &[] }
}

/// A route that replies with something else.
pub(super) const fn gives(id: &'static str, summary: &'static str, reply: Reply) -> Words {
    Words { reply, ..says::<()>(id, summary) }
}

impl Words {
    /// Its query string.
    pub(super) const fn query<Q: JsonSchema>(self) -> Self {
        Self { query: Some(Q::json_schema), ..self }
    }

    /// The query string of every change.
    pub(super) const fn writes(self) -> Self {
        self.query::<WriteQuery>()
    }

    /// Its body.
    pub(super) const fn body<B: JsonSchema>(self) -> Self {
        Self { body: Some(SchemaGenerator::subschema_for::<B>), ..self }
    }

    /// It reads `If-Match`.
    pub(super) const fn if_match(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }

    /// 201.
    pub(super) const fn makes(self) -> Self {
        Self { makes: true, ..self }
    }

    /// 503 with the same body.
    pub(super) const fn or_unavailable(self) -> Self {
        Self { or_unavailable: true, ..self }
    }

    /// Refusals of its own.
    pub(super) const fn refuses(self, refuses: &'static [ProblemKind]) -> Self {
        Self { refuses, ..self }
    }
}
