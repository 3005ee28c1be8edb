//! The header `If-Match`.

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IfMatch};

use crate::command::Precondition;

/// What a request says in `If-Match`.
pub(super) enum IfMatchHeader {
    /// Nothing.
    Absent,
    /// It is no list of tags. Such a condition is not met, rather than ignored.
    Unreadable,
    /// Tags, or `*`.
    Readable {
        /// The versions that the tags name.
        precondition: Precondition,
        /// Whether a tag is weak, which never matches (RFC 9110, 13.1.1). Proxies that compress weaken tags.
        has_weak_tag: bool,
    },
}

impl IfMatchHeader {
    pub(super) fn of(request: &HttpRequest) -> Self {
        if !request.headers().contains_key(IF_MATCH) {
            return Self::Absent;
        }
        match IfMatch::parse(request) {
            Err(_) => Self::Unreadable,
            Ok(IfMatch::Items(tags)) if tags.is_empty() => Self::Unreadable,
            Ok(IfMatch::Any) => {
                Self::Readable { precondition: Precondition::AnyVersion, has_weak_tag: false }
            }
            Ok(IfMatch::Items(tags)) => Self::Readable {
                precondition: Precondition::OneOf(tags.iter().filter_map(version).collect()),
                has_weak_tag: tags.iter().any(|tag| tag.weak),
            },
        }
    }

    pub(super) fn precondition(&self) -> Precondition {
        match self {
            Self::Absent => Precondition::AnyVersion,
            Self::Unreadable => Precondition::OneOf(Vec::new()),
            Self::Readable { precondition, .. } => precondition.clone(),
        }
    }
}

/// The version that a tag names; a tag that is not one of ours names none.
fn version(tag: &EntityTag) -> Option<i32> {
    tag.tag().parse().ok().filter(|version| tag.strong_eq(&etag(*version)))
}

/// The tag of a version.
pub(super) fn etag(version: i32) -> EntityTag {
    EntityTag::new_strong(version.to_string())
}
