//! The header `If-Match`.

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IfMatch};

use crate::command::Precondition;

/// The `If-Match` header of a request.
pub(super) enum IfMatchHeader {
    Absent,
    /// Not a list of tags. The condition counts as not met: ignoring it would apply the step unconditionally.
    Malformed,
    /// Tags, or `*`.
    Valid {
        /// The versions that the tags name.
        precondition: Precondition,
        /// Whether any tag is weak. Weak tags never match (RFC 9110, 13.1.1); compressing proxies make tags weak.
        has_weak_tag: bool,
    },
}

impl IfMatchHeader {
    pub(super) fn from_request(request: &HttpRequest) -> Self {
        if !request.headers().contains_key(IF_MATCH) {
            return Self::Absent;
        }
        match IfMatch::parse(request) {
            Err(_) => Self::Malformed,
            Ok(IfMatch::Items(tags)) if tags.is_empty() => Self::Malformed,
            Ok(IfMatch::Any) => Self::Valid { precondition: Precondition::AnyVersion, has_weak_tag: false },
            Ok(IfMatch::Items(tags)) => Self::Valid {
                precondition: Precondition::OneOf(tags.iter().filter_map(version).collect()),
                has_weak_tag: tags.iter().any(|tag| tag.weak),
            },
        }
    }

    pub(super) fn precondition(&self) -> Precondition {
        match self {
            Self::Absent => Precondition::AnyVersion,
            Self::Malformed => Precondition::OneOf(Vec::new()),
            Self::Valid { precondition, .. } => precondition.clone(),
        }
    }
}

/// The version that a tag names, or `None` if the tag is not one of ours.
fn version(tag: &EntityTag) -> Option<i32> {
    tag.tag().parse().ok().filter(|version| tag.strong_eq(&etag(*version)))
}

/// The tag of a version.
pub(super) fn etag(version: i32) -> EntityTag {
    EntityTag::new_strong(version.to_string())
}
