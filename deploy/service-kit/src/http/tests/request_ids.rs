//! Every response has the id of its request.

use super::*;
use crate::request_id;

fn routes(app: &mut web::ServiceConfig) {
    let id = |request: actix_web::HttpRequest| async move {
        HttpResponse::Ok().body(request_id::of(request.headers()).unwrap().to_owned())
    };
    let refused = || async { HttpResponse::Ok().finish() };
    app.service(get_resource("/id", Access::Open, web::route().to(id)))
        .service(post_resource("/read", Access::Open, web::route().to(id)))
        // Without an authenticator, the guard refuses every caller.
        .service(get_resource("/refused", Access::Needs(&[]), web::route().to(refused)));
}

/// The values of `x-request-id` in a response, and its body.
fn ids(response: &str) -> (Vec<&str>, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    (lines.filter(|(name, _)| *name == "x-request-id").map(|(_, value)| value).collect(), body)
}

#[tokio::test]
async fn every_response_has_the_id_of_its_request() {
    let server = start_with(Heartbeats::default(), routes);
    for (request, status) in [
        ("GET /id", "200"),
        ("POST /read", "200"),
        ("GET /nowhere", "404"),
        ("GET /read", "405"),
        ("GET /refused", "500"),
        ("GET /id?upgraded HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade", "400"),
    ] {
        let request =
            if request.contains(" HTTP/") { request.to_owned() } else { format!("{request} HTTP/1.1") };
        let head = format!("{request}\r\nhost: x\r\nx-request-id: the-clients\r\ncontent-length: 0\r\n");
        let head = if request.contains("upgrade") { head } else { format!("{head}connection: close\r\n") };
        let (response, _) = talk(server.address, &[&format!("{head}\r\n")], false).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        let (ids, body) = ids(&response);
        assert_eq!(ids, ["the-clients"], "{request}: {response}");
        let names_the_request = body.contains(r#""instance":"/requests/the-clients""#);
        assert_eq!(names_the_request, status != "200", "{request}: {response}");
    }
}

#[tokio::test]
async fn without_a_valid_id_handler_and_client_get_the_same_new_one() {
    let server = start_with(Heartbeats::default(), routes);
    let mut seen = std::collections::HashSet::new();
    for header in ["", "x-request-id: two words\r\n", "x-request-id: a\r\nx-request-id: b\r\n"] {
        let head = format!("GET /id HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n");
        let (response, _) = talk(server.address, &[&head], false).await.unwrap();
        let (ids, body) = ids(&response);
        assert!(uuid::Uuid::try_parse(body).is_ok() && ids == [body], "{header}: {response}");
        assert!(seen.insert(body.to_owned()), "{header}: {response}");
    }
}
