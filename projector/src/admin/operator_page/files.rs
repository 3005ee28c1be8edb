//! The page. Its files are in the binary, and it uses nothing else.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::auth::Access;
use service_kit::problem::Problem;
use service_kit::resource::get_resource;

use super::check_local;

/// Only resources of this origin. `data:` is for the empty icon, which keeps browsers from requesting one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and content.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("files/index.html")),
    ("/operator.css", "text/css; charset=utf-8", include_str!("files/operator.css")),
    ("/operator.js", SCRIPT, include_str!("files/operator.js")),
    ("/requests.js", SCRIPT, include_str!("files/requests.js")),
    ("/tables.js", SCRIPT, include_str!("files/tables.js")),
];

pub(super) fn serve(app: &mut web::ServiceConfig) {
    for (path, content_type, text) in FILES {
        let get =
            web::route().to(move |request: HttpRequest| async move { respond(&request, content_type, text) });
        app.service(get_resource(path, Access::Open, get));
    }
}

fn respond(
    request: &HttpRequest,
    content_type: &'static str,
    text: &'static str,
) -> Result<HttpResponse, Problem> {
    check_local(request)?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        // Page and scripts fit together only in one version of the binary.
        .insert_header((CACHE_CONTROL, "no-cache"));
    Ok(response.force_close().body(text))
}
