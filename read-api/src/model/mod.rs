//! The types that screens show, and the positions in lists and streams.

mod currency_code;
mod order_detail;
mod order_request;
mod order_status;
mod order_summary;
mod page;
mod read_position;
mod resume_point;
mod wanted_version;

pub use currency_code::CurrencyCode;
pub use order_detail::{Items, OrderDetail, OrderItem};
pub use order_request::OrderRequest;
pub use order_status::OrderStatus;
pub use order_summary::OrderSummary;
pub use page::{Filter, ListPosition, ListRequest, Page, PageOfAllRequest, PageRequest};
pub use read_position::{ReadPosition, merged, width};
pub use resume_point::{History, InvalidResumePoint, ResumePoint};
pub use wanted_version::WantedVersion;
