//! The OpenAPI document of a service: its problems, who may use it, and the routes that serve it.

mod secured;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentEncoding, ContentType, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{
    ArrayBuilder, Content, ContentBuilder, OpenApi, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa_swagger_ui::Config;

pub use self::secured::secured;
use crate::auth::Access;
use crate::problem::{Problem, ProblemType};
use crate::resource::get_resource;

const DOCUMENT: &str = "/openapi.json";

/// Only resources of this origin. The page sets styles in its elements, and has pictures in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `API_DOCS`: whether the document and its page are served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApiDocs {
    On,
    #[default]
    Off,
}

impl ApiDocs {
    fn check(request: &HttpRequest) -> Result<(), Problem> {
        match request.app_data() {
            Some(Self::On) => Ok(()),
            Some(Self::Off) | None => Err(Problem::no_such_resource()),
        }
    }
}

/// With `API_DOCS=on`, serves the document at `/openapi.json`, and a page to read and try it at `/docs/`. The page's
/// files are in the binary.
pub fn serve(app: &mut web::ServiceConfig, document: &OpenApi) {
    // Never empty: JSON can represent every document.
    let document = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let get_document = move |request: HttpRequest| {
        let document = document.clone();
        let respond = |()| HttpResponse::Ok().content_type(ContentType::json()).body(document);
        ready(ApiDocs::check(&request).map(respond))
    };
    let page = Arc::new(Config::new([DOCUMENT]));
    let get_page = move |request: HttpRequest, path: web::Path<String>| {
        ready(ApiDocs::check(&request).and_then(|()| asset(&path, &page)))
    };
    let to_page = |request: HttpRequest| {
        let respond = |()| HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish();
        ready(ApiDocs::check(&request).map(respond))
    };
    app.service(get_resource(DOCUMENT, Access::Open, web::route().to(get_document)))
        .service(get_resource("/docs/{path:.*}", Access::Open, web::route().to(get_page)))
        .service(get_resource("/docs", Access::Open, web::route().to(to_page)));
}

/// A file of the page.
fn asset(path: &str, page: &Arc<Config<'static>>) -> Result<HttpResponse, Problem> {
    let file = utoipa_swagger_ui::serve(path, Arc::clone(page)).map_err(|error| {
        tracing::error!(error = error.to_string(), "cannot render the page of the API document");
        Problem::internal()
    })?;
    let file = file.ok_or_else(Problem::no_such_resource)?;
    let mut response = HttpResponse::Ok();
    if file.gzpipped {
        response.insert_header(ContentEncoding::Gzip);
    }
    response.insert_header((CONTENT_SECURITY_POLICY, POLICY));
    Ok(response.content_type(file.content_type).body(file.bytes.into_owned()))
}

/// The error responses of an operation, for `utoipa::IntoResponses`.
#[must_use]
pub fn responses(types: &[ProblemType]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for problem in types {
        by_status.entry(problem.status).or_default().push(*problem);
    }
    by_status
        .into_iter()
        .map(|(status, types)| (status.to_string(), response(status, &types).into()))
        .collect()
}

/// Adds a member, always there, to the problem of one status: see [`Problem::with_member`].
pub fn add_member(
    responses: &mut BTreeMap<String, RefOr<Response>>,
    problem: ProblemType,
    name: &str,
    schema: impl Into<RefOr<Schema>>,
) {
    let Some(RefOr::T(response)) = responses.get_mut(&problem.status.to_string()) else { return };
    let schema = schema.into();
    for content in response.content.values_mut() {
        if let RefOr::T(Content { schema: Some(RefOr::T(Schema::Object(problem))), .. }) = content {
            problem.properties.insert(name.to_owned(), schema.clone());
            problem.required.push(name.to_owned());
        }
    }
}

/// Sets the default of a query parameter of GET, which the annotation of a handler cannot.
#[must_use]
pub fn with_default(mut document: OpenApi, path: &str, parameter: &str, value: impl Into<Value>) -> OpenApi {
    let operation = document.paths.paths.get_mut(path).and_then(|path| path.get.as_mut());
    let parameters = operation.and_then(|operation| operation.parameters.as_mut());
    for found in parameters.into_iter().flatten() {
        if let RefOr::T(Parameter { name, schema: Some(RefOr::T(Schema::Object(schema))), .. }) = found
            && name == parameter
        {
            schema.default = Some(value.into());
            break;
        }
    }
    document
}

fn response(status: u16, types: &[ProblemType]) -> Response {
    let description: Vec<_> =
        types.iter().map(|problem| format!("`{}`: {}", problem.slug, problem.when)).collect();
    let content = ContentBuilder::new().schema(Some(schema(status, types))).build();
    let mut response = ResponseBuilder::new()
        .description(description.join("\n\n"))
        .content("application/problem+json", content);
    if types.iter().any(ProblemType::is_transient) {
        let seconds = HeaderBuilder::new().schema(Some(Object::with_type(Type::Integer)));
        response = response.header("Retry-After", seconds.description(Some("Seconds to wait.")).build());
    }
    response.build()
}

fn schema(status: u16, types: &[ProblemType]) -> RefOr<Schema> {
    let kinds = types.iter().map(|problem| format!("/problems/{}", problem.slug));
    let text = || Object::with_type(Type::String);
    let text_of = |description| ObjectBuilder::from(text()).description(Some(description));
    let error = ObjectBuilder::new()
        .description(Some(
            "One invalid field, named by `pointer` (JSON pointer into the body), `parameter` or `header`.",
        ))
        .property("pointer", text())
        .property("parameter", text())
        .property("header", text())
        .property("detail", text())
        .required("detail");
    ObjectBuilder::new()
        .property(
            "type",
            ObjectBuilder::new()
                .schema_type(SchemaType::new(Type::String))
                .enum_values(Some(kinds))
                .description(Some("There may be more types: handle one that you do not know by its status."))
                .extensions(Some(Extensions::builder().add("x-open-enum", true).build())),
        )
        .property("title", text())
        .property(
            "status",
            ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).enum_values(Some([status])),
        )
        .property("detail", text())
        .property(
            "instance",
            text_of(
                "`/requests/` and the `X-Request-Id` of the response, percent-encoded: names the request.",
            ),
        )
        .property("errors", ArrayBuilder::new().items(error))
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .into()
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service};

    use super::*;

    /// The status and the policy of each path.
    async fn responses_of(docs: Option<ApiDocs>) -> Vec<(u16, bool)> {
        let document = OpenApi::default();
        let app = App::new().configure(|app| {
            if let Some(docs) = docs {
                app.app_data(docs);
            }
            serve(app, &document);
        });
        let app = init_service(app).await;
        let mut responses = Vec::new();
        for path in [DOCUMENT, "/docs", "/docs/", "/docs/swagger-ui.css"] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            let policy = response.headers().get(CONTENT_SECURITY_POLICY);
            let has_policy = policy.is_some_and(|policy| {
                policy.to_str().is_ok_and(|policy| policy.contains("frame-ancestors 'none'"))
            });
            responses.push((response.status().as_u16(), has_policy));
        }
        responses
    }

    #[actix_web::test]
    async fn the_document_and_its_page_are_served_only_if_they_are_switched_on() {
        let on = responses_of(Some(ApiDocs::On)).await;
        assert_eq!(on, [(200, false), (307, false), (200, true), (200, true)]);
        for off in [Some(ApiDocs::Off), None] {
            assert_eq!(responses_of(off).await, [(404, false); 4], "{off:?}");
        }
    }
}
