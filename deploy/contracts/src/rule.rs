//! The rules: which changes of a contract break its users.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines [`Rule`] from the names of its variants, so that none is missing in [`Rule::ALL`].
macro_rules! rules {
    ($($(#[doc = $what:literal])+ $rule:ident = $name:literal,)+) => {
        /// A kind of change that breaks users of a contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Rule {
            $($(#[doc = $what])+ #[serde(rename = $name)] $rule,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule,)+];

            /// The name in messages and in the README.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)+ }
            }
        }
    };
}

rules! {
    /// A base URL is gone.
    ServerRemoved = "server-removed",
    /// A path is gone.
    PathRemoved = "path-removed",
    /// An operation (method of a path) is gone.
    OperationRemoved = "operation-removed",
    /// A documented response status is gone.
    ResponseStatusRemoved = "response-status-removed",
    /// A response has one media type less.
    ResponseMediaTypeRemoved = "response-media-type-removed",
    /// A response has one header less.
    ResponseHeaderRemoved = "response-header-removed",
    /// A header that every such response had may be absent.
    ResponseHeaderOptional = "response-header-optional",
    /// Bodies of a media type are no longer accepted.
    RequestMediaTypeRemoved = "request-media-type-removed",
    /// A request without a body was accepted.
    RequestBodyRequired = "request-body-required",
    /// A request with a body was accepted.
    RequestBodyRemoved = "request-body-removed",
    /// A parameter is gone; the services refuse parameters that they do not know.
    ParameterRemoved = "parameter-removed",
    /// A request without this parameter was accepted.
    ParameterRequired = "parameter-required",
    /// A parameter is serialized in another way.
    ParameterStyleChanged = "parameter-style-changed",
    /// A field that clients may send is gone.
    InputFieldRemoved = "input-field-removed",
    /// Input without this field was accepted.
    InputFieldRequired = "input-field-required",
    /// A value that was accepted is not in the enumeration.
    InputEnumNarrowed = "input-enum-narrowed",
    /// A limit on input is new or stricter.
    InputLimitTightened = "input-limit-tightened",
    /// Input with further fields was accepted.
    InputObjectClosed = "input-object-closed",
    /// Input without this field now means something else.
    InputDefaultChanged = "input-default-changed",
    /// A field that users read is gone.
    OutputFieldRemoved = "output-field-removed",
    /// A field that was always there may be absent.
    OutputFieldOptional = "output-field-optional",
    /// The enumeration has a value that users do not know, and was not documented as open.
    OutputEnumWidened = "output-enum-widened",
    /// An open enumeration has lost a value that users may act on.
    OutputEnumValueRemoved = "output-enum-value-removed",
    /// A limit that users could rely on is gone or wider.
    OutputLimitLoosened = "output-limit-loosened",
    /// The type does not fit the type before; `null` is a type.
    TypeChanged = "type-changed",
    /// The format does not fit the format before.
    FormatChanged = "format-changed",
    /// An alternative of input is gone, or output has a new one.
    AlternativesChanged = "alternatives-changed",
    /// A request that was accepted needs other credentials.
    SecurityAdded = "security-added",
    /// Credentials are sent in another way.
    SecuritySchemeChanged = "security-scheme-changed",
    /// A kind of event is gone.
    EventKindRemoved = "event-kind-removed",
    /// Something changed that no rule knows; teach the rules first.
    UnknownKeywordChanged = "unknown-keyword-changed",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change that breaks users of a contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Break {
    /// The rule that the change violates.
    pub rule: Rule,
    /// JSON pointer: into the present document for something new, into the baseline otherwise.
    pub at: String,
    /// What the changelog must name: the field, value, parameter, header, status, media type, operation, path, base URL
    /// or kind.
    pub name: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` at {}", self.rule, self.name, self.at)
    }
}
