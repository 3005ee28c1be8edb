//! JSON bodies: read within limits, parsed strictly, and diagnosed where they are refused.

mod diagnose;
mod faults;
mod json;
mod read;
mod strict_object;
mod whole_number;

pub(super) use diagnose::{Diagnose, ObjectReader};
pub(super) use faults::Faults;
pub(super) use json::{JsonBody, OptionalJsonBody};
pub(super) use strict_object::StrictObject;
pub(super) use whole_number::WholeNumber;
