//! The dashboard: a page for people who talk to customers. It uses only the public API.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use service_kit::auth::Access;
use service_kit::resource::get_resource;

/// Only resources of this origin. `data:` is for the empty icon, which keeps browsers from requesting one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

const STYLE: &str = "text/css; charset=utf-8";

/// Path, content type and content.
const FILES: [(&str, &str, &str); 24] = [
    ("/", "text/html; charset=utf-8", include_str!("dashboard/index.html")),
    ("/dashboard.css", STYLE, include_str!("dashboard/dashboard.css")),
    ("/order.css", STYLE, include_str!("dashboard/order.css")),
    ("/token.css", STYLE, include_str!("dashboard/token.css")),
    ("/dashboard.js", SCRIPT, include_str!("dashboard/dashboard.js")),
    ("/access.js", SCRIPT, include_str!("dashboard/access.js")),
    ("/api.js", SCRIPT, include_str!("dashboard/api.js")),
    ("/ask.js", SCRIPT, include_str!("dashboard/ask.js")),
    ("/copy.js", SCRIPT, include_str!("dashboard/copy.js")),
    ("/detail.js", SCRIPT, include_str!("dashboard/detail.js")),
    ("/filter.js", SCRIPT, include_str!("dashboard/filter.js")),
    ("/follow.js", SCRIPT, include_str!("dashboard/follow.js")),
    ("/keys.js", SCRIPT, include_str!("dashboard/keys.js")),
    ("/list.js", SCRIPT, include_str!("dashboard/list.js")),
    ("/load.js", SCRIPT, include_str!("dashboard/load.js")),
    ("/money.js", SCRIPT, include_str!("dashboard/money.js")),
    ("/order.js", SCRIPT, include_str!("dashboard/order.js")),
    ("/rows.js", SCRIPT, include_str!("dashboard/rows.js")),
    ("/text.js", SCRIPT, include_str!("dashboard/text.js")),
    ("/time.js", SCRIPT, include_str!("dashboard/time.js")),
    ("/timeline.js", SCRIPT, include_str!("dashboard/timeline.js")),
    ("/token.js", SCRIPT, include_str!("dashboard/token.js")),
    ("/view.js", SCRIPT, include_str!("dashboard/view.js")),
    ("/wait.js", SCRIPT, include_str!("dashboard/wait.js")),
];

/// Adds the page and its files.
pub(super) fn serve(app: &mut web::ServiceConfig) {
    for (path, content_type, text) in FILES {
        let get = web::route().to(move || async move { respond(content_type, text) });
        app.service(get_resource(path, Access::Open, get));
    }
}

fn respond(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        // Page and scripts fit together only in one version of the binary.
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
