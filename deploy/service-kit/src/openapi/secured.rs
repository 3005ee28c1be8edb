//! What an OpenAPI document says about access tokens, from the [`Access`] that guards the routes.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, PathItem, RefOr, Required, Response};

use super::response;
use crate::auth::{Access, Right};
use crate::problem::{INSUFFICIENT_SCOPE, NOT_LOCAL, ProblemType, TOO_MANY_REQUESTS, UNAUTHENTICATED};

/// The name of the security scheme.
const SCHEME: &str = "token";

const SCHEME_DESCRIPTION: &str = "An access token: a JWT of the configured issuer. Each operation lists the scopes of \
    which one is enough, and whether its token must name a customer. With `AUTH=off` no token is needed.";

const REQUEST_ID: &str = "X-Request-Id";

/// The document with the bearer scheme, and for each of `operations` (path and access) its `security`, its responses
/// 401, 403 and 429, and `X-Request-Id`. A path that is not listed gets the right that nobody has, as an undeclared
/// route.
#[must_use]
pub fn secured(mut document: OpenApi, operations: &[(&str, Access)]) -> OpenApi {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let scheme = SecurityScheme::Http(scheme.description(Some(SCHEME_DESCRIPTION)).build());
    document.components.get_or_insert_default().security_schemes.insert(SCHEME.to_owned(), RefOr::T(scheme));
    for (path, item) in &mut document.paths.paths {
        let listed = operations.iter().find(|(listed, _)| listed == path);
        let access = listed.map_or(Access::Needs(&[]), |(_, access)| *access);
        for operation in methods(item) {
            add_access(operation, access);
            let over_share = response(TOO_MANY_REQUESTS.status, &[TOO_MANY_REQUESTS]);
            operation.responses.responses.insert(TOO_MANY_REQUESTS.status.to_string(), RefOr::T(over_share));
            add_request_id(operation);
        }
    }
    document
}

fn methods(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post].into_iter().flatten()
}

fn add_access(operation: &mut Operation, access: Access) {
    let Access::Needs(rights) = access else {
        operation.security = Some(vec![SecurityRequirement::default()]);
        return;
    };
    let mut ways: Vec<_> =
        rights.iter().map(|right| SecurityRequirement::new(SCHEME, [right.scope()])).collect();
    if ways.is_empty() {
        // An empty list would say that no token is needed.
        ways.push(SecurityRequirement::new::<_, [&str; 0], _>(SCHEME, []));
    }
    operation.security = Some(ways);
    let description = operation.description.get_or_insert_default();
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    let rights: Vec<_> = rights.iter().map(|right| described(*right)).collect();
    let rights = if rights.is_empty() { "a right that nobody has".to_owned() } else { rights.join(", or ") };
    description.extend(["Needs ", &rights, "."]);
    for (status, problems) in [(401, &[UNAUTHENTICATED][..]), (403, &[INSUFFICIENT_SCOPE, NOT_LOCAL])] {
        let response = with_challenge(status, problems);
        operation.responses.responses.insert(status.to_string(), RefOr::T(response));
    }
}

fn described(right: Right) -> String {
    match right {
        Right::Any(scope) => format!("the scope `{scope}` in a token without a customer claim"),
        Right::Own(scope) => {
            format!(
                "the scope `{scope}` in a token with a customer claim, for the orders of that customer only"
            )
        }
    }
}

fn with_challenge(status: u16, problems: &[ProblemType]) -> Response {
    let mut response = response(status, problems);
    let challenge = text_header("`Bearer`, and what is wrong with the token that was sent (RFC 6750).");
    response.headers.insert("WWW-Authenticate".to_owned(), challenge.into());
    response
}

fn add_request_id(operation: &mut Operation) {
    let parameter = ParameterBuilder::new()
        .name(REQUEST_ID)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "An id of the request, for logs: 1 to 128 visible ASCII characters. Without a valid one the service makes \
             one.",
        ))
        .schema(Some(Object::with_type(Type::String)));
    operation.parameters.get_or_insert_default().push(RefOr::<Parameter>::T(parameter.build()));
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = text_header("The id of the request. Absent if its head could not be read.");
            response.headers.insert(REQUEST_ID.to_owned(), header.into());
        }
    }
}

fn text_header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(description)).build()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, PathsBuilder};
    use utoipa::openapi::{OpenApiBuilder, ResponseBuilder};

    use super::*;

    const READ: Access = Access::Needs(&[Right::Any("read:any"), Right::Own("read")]);

    fn secured_document() -> Value {
        let operation = || OperationBuilder::new().response("200", ResponseBuilder::new().build());
        let paths =
            ["/listed", "/open", "/forgotten"].into_iter().fold(PathsBuilder::new(), |paths, path| {
                paths.path(path, PathItem::new(HttpMethod::Get, operation().description(Some("Reads."))))
            });
        let document = OpenApiBuilder::new().paths(paths).build();
        serde_json::to_value(secured(document, &[("/listed", READ), ("/open", Access::Open)])).unwrap()
    }

    #[test]
    fn an_operation_lists_each_scope_and_whether_it_needs_a_customer_claim() {
        let document = secured_document();
        let scheme = &document["components"]["securitySchemes"]["token"];
        assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
        assert_eq!(scheme["bearerFormat"], "JWT");
        let operation = &document["paths"]["/listed"]["get"];
        assert_eq!(operation["security"], json!([{"token": ["read:any"]}, {"token": ["read"]}]));
        assert_eq!(
            operation["description"],
            "Reads.\n\nNeeds the scope `read:any` in a token without a customer claim, or the scope `read` in a token \
             with a customer claim, for the orders of that customer only."
        );
        assert_eq!(document["paths"]["/open"]["get"]["security"], json!([{}]));
    }

    #[test]
    fn an_operation_lists_the_refusals_with_their_header_and_the_request_id() {
        let operation = &secured_document()["paths"]["/listed"]["get"];
        for (status, slug) in
            [("401", "unauthenticated"), ("403", "insufficient-scope"), ("403", "not-local")]
        {
            let response = &operation["responses"][status];
            assert!(response.to_string().contains(&format!("/problems/{slug}")), "{response}");
            assert!(response["headers"]["WWW-Authenticate"].is_object(), "{response}");
        }
        assert_eq!(operation["parameters"][0]["name"], REQUEST_ID);
        for status in ["200", "401", "403"] {
            assert!(operation["responses"][status]["headers"][REQUEST_ID].is_object(), "{status}");
        }
    }

    #[test]
    fn a_path_without_access_is_closed_as_its_route_would_be() {
        let operation = &secured_document()["paths"]["/forgotten"]["get"];
        assert_eq!(operation["security"], json!([{"token": []}]));
        assert_eq!(operation["description"], "Reads.\n\nNeeds a right that nobody has.");
    }
}
