use super::*;

const JWT: [(&str, &str); 4] = [
    ("AUTH", "jwt"),
    ("AUTH_JWKS_FILE", "/etc/orders/jwks.json"),
    ("AUTH_ISSUER", "https://issuer.test/"),
    ("AUTH_AUDIENCE", "orders"),
];

fn read(vars: &[(&str, &str)]) -> Result<AuthConfig, String> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    AuthConfig::from_vars(&vars).map_err(|error| error.to_string())
}

/// `AUTH=jwt` with one more variable, or another value of one.
fn read_with(variable: &str, value: &str) -> Result<AuthConfig, String> {
    let others = JWT.into_iter().filter(|(name, _)| *name != variable);
    read(&others.chain([(variable, value)]).collect::<Vec<_>>())
}

fn read_url(url: &str) -> Result<AuthConfig, String> {
    read(&[JWT[0], ("AUTH_JWKS_URL", url), JWT[2], JWT[3]])
}

#[test]
fn the_defaults() {
    let expected = AuthConfig {
        trusted: Some(Trusted {
            keys: KeySource::File("/etc/orders/jwks.json".into()),
            issuer: "https://issuer.test/".into(),
            audience: "orders".into(),
        }),
        algorithms: [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].into(),
        leeway: TimeDelta::seconds(30),
        customer_claim: "customer_id".into(),
        scope_claim: "scope".into(),
    };
    assert_eq!(read(&JWT), Ok(expected.clone()));
    assert_eq!(read(&[("AUTH", "off")]), Ok(AuthConfig { trusted: None, ..expected }));
}

#[test]
fn auth_is_required_and_is_jwt_or_off() {
    assert_eq!(read(&JWT[1..]), Err("AUTH is not set".to_owned()));
    for value in ["", "JWT", "on", "Off", "none", "false", " jwt"] {
        assert_eq!(read_with("AUTH", value), Err("AUTH must be `jwt` or `off`".to_owned()), "{value:?}");
    }
}

#[test]
fn jwt_needs_keys_an_issuer_and_an_audience() {
    for (missing, named) in [(1, "AUTH_JWKS_URL or AUTH_JWKS_FILE"), (2, "AUTH_ISSUER"), (3, "AUTH_AUDIENCE")]
    {
        let vars: Vec<_> = JWT.into_iter().filter(|var| *var != JWT[missing]).collect();
        assert_eq!(read(&vars), Err(format!("{named} is not set")));
    }
    let both = read_with("AUTH_JWKS_URL", "https://issuer.test/jwks");
    assert_eq!(both, Err("AUTH_JWKS_FILE must not be set together with AUTH_JWKS_URL".to_owned()));
}

#[test]
fn keys_come_by_https_or_from_this_machine() {
    for url in [
        "https://issuer.test/jwks",
        "https://issuer.test:8443/a?b=c",
        "http://127.0.0.1:8080/jwks",
        "http://127.9.9.9/",
        "http://[::1]:80/jwks",
    ] {
        let trusted = read_url(url).unwrap().trusted.unwrap();
        assert_eq!(trusted.keys, KeySource::Url(Url::parse(url).unwrap()));
    }
    for url in [
        "",
        "jwks",
        "issuer.test/jwks",
        "http://issuer.test/jwks",
        "http://localhost/jwks",
        "http://127.0.0.1.issuer.test/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::]/",
        "ftp://127.0.0.1/jwks",
        "file:///etc/jwks.json",
        "https://",
        "https://secret@issuer.test/",
        "https://user:secret@issuer.test/",
        "https://:secret@issuer.test/",
        "http://127.0.0.1@issuer.test/",
        "https://issuer.test/#secret",
    ] {
        let error = read_url(url).unwrap_err();
        assert!(error.starts_with("AUTH_JWKS_URL must ") && !error.contains("secret"), "{url}: {error}");
    }
}

#[test]
fn algorithms_are_a_list() {
    let all = read_with("AUTH_ALGORITHMS", "RS256, ES256,EdDSA,PS256 ,ES384").unwrap().algorithms;
    assert_eq!(&*all, ALGORITHMS.map(|(_, algorithm)| algorithm));
    let one = read_with("AUTH_ALGORITHMS", "ES384").unwrap().algorithms;
    assert_eq!(&*one, [Algorithm::ES384]);
    for value in
        ["", ",", "RS256,", "HS256", "none", "RS256,HS256", "RS512", "rs256", "RS256 ES256", "RS256,RS256"]
    {
        let error = read_with("AUTH_ALGORITHMS", value).unwrap_err();
        assert!(error.starts_with("AUTH_ALGORITHMS "), "{value}: {error}");
    }
}

#[test]
fn the_leeway_is_at_most_30_seconds() {
    assert_eq!(read_with("AUTH_LEEWAY_S", "0").unwrap().leeway, TimeDelta::zero());
    for value in ["31", "256", "-1", "1.5", "", "x"] {
        let error = read_with("AUTH_LEEWAY_S", value).unwrap_err();
        assert!(error.contains("AUTH_LEEWAY_S"), "{value}: {error}");
    }
}

#[test]
fn texts_are_bounded() {
    let (longest, too_long) = ("x".repeat(1_024), "x".repeat(1_025));
    for variable in
        ["AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_CUSTOMER_CLAIM", "AUTH_SCOPE_CLAIM", "AUTH_JWKS_FILE"]
    {
        assert!(read_with(variable, &longest).is_ok());
        for value in ["", " ", " x", "x\n", "x\0y", &too_long] {
            let error = read_with(variable, value).unwrap_err();
            assert!(error.starts_with(variable), "{value}: {error}");
        }
    }
}

#[test]
fn the_claims_are_two_and_have_no_other_meaning() {
    for variable in ["AUTH_CUSTOMER_CLAIM", "AUTH_SCOPE_CLAIM"] {
        for claim in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
            let error = read_with(variable, claim).unwrap_err();
            assert!(error.starts_with(variable), "{claim}: {error}");
        }
    }
    assert!(read_with("AUTH_CUSTOMER_CLAIM", "scope").unwrap_err().starts_with("AUTH_SCOPE_CLAIM "));
}

#[test]
fn what_is_set_is_checked_with_auth_off_too() {
    for (variable, value) in [
        ("AUTH_LEEWAY_S", "31"),
        ("AUTH_ALGORITHMS", "none"),
        ("AUTH_JWKS_URL", "http://issuer.test/"),
        ("AUTH_ISSUER", ""),
        ("AUTH_CUSTOMER_CLAIM", "sub"),
    ] {
        let error = read(&[("AUTH", "off"), (variable, value)]).unwrap_err();
        assert!(error.contains(variable), "{error}");
    }
}
