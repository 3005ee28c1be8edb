//! What pods and ports must be like: "restricted" pod security, and rules of our own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rendered::{items, of_kind, pods};

/// What is wrong with the pods.
pub(super) fn faults(documents: &[Value]) -> Vec<String> {
    pods(documents).into_iter().flat_map(|(name, pod)| faults_of(name, pod)).collect()
}

fn faults_of(name: &str, pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |what: &str, is: &Value, expected: Value| {
        if *is != expected {
            faults.push(format!("{name}: {what} is {is}"));
        }
    };
    expect("runAsNonRoot", &pod["securityContext"]["runAsNonRoot"], json!(true));
    expect("seccompProfile", &pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"));
    expect("the token of the API server", &pod["automountServiceAccountToken"], json!(false));
    for container in items(&pod["containers"]) {
        let security = &container["securityContext"];
        expect("allowPrivilegeEscalation", &security["allowPrivilegeEscalation"], json!(false));
        expect("readOnlyRootFilesystem", &security["readOnlyRootFilesystem"], json!(true));
        expect("capabilities", &security["capabilities"], json!({"drop": ["ALL"]}));
        for kind in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                let is_set = container["resources"][kind][resource].is_string();
                expect(&format!("whether {kind} has {resource}"), &json!(is_set), json!(true));
            }
        }
        for mount in items(&container["volumeMounts"]) {
            let has_volume = items(&pod["volumes"]).any(|volume| volume["name"] == mount["name"]);
            expect(&format!("a volume for {mount}"), &json!(has_volume), json!(true));
            expect("subPath, whose file is not replaced,", &mount["subPath"], Value::Null);
        }
    }
    if pod["securityContext"]["runAsUser"].as_u64().is_none_or(|user| user == 0) {
        faults.push(format!("{name} runs as root"));
    }
    faults
}

/// Ports that probes, Services, routes and scrapes use, but that lead to none of a container.
pub(super) fn unknown_ports(documents: &[Value]) -> BTreeSet<String> {
    let of_probes = pods(documents).into_iter().flat_map(|(_, pod)| items(&pod["containers"]));
    let of_services = of_kind(documents, "Service").into_iter().map(|(_, service)| service);
    of_probes
        .flat_map(ports_of_probes)
        .chain(of_services.flat_map(|service| ports_of_service(documents, service)))
        .chain(ports_of_routes(documents))
        .chain(ports_of_scrapes(documents))
        .collect()
}

fn ports_of_probes(container: &Value) -> Vec<String> {
    let has = |port: &Value| items(&container["ports"]).any(|own| own["name"] == *port);
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    let ports = probes.map(|probe| (probe, &container[probe]["httpGet"]["port"]));
    let unknown = ports.into_iter().filter(|(_, port)| !port.is_null() && !has(port));
    unknown.map(|(probe, port)| format!("{probe}: {port}")).collect()
}

/// A Service leads to the pods whose labels it selects.
fn ports_of_service(documents: &[Value], service: &Value) -> Vec<String> {
    let selected = documents.iter().find(|document| {
        let labels = &document["spec"]["template"]["metadata"]["labels"];
        let selector = service["spec"]["selector"].as_object();
        selector.is_some_and(|selector| selector.iter().all(|(name, value)| labels[name] == *value))
    });
    let own = selected.map(|document| &document["spec"]["template"]["spec"]["containers"][0]["ports"]);
    let is_own = |port: &Value| {
        let mut own = own.into_iter().flat_map(items);
        own.any(|of| of["name"] == port["targetPort"] && of["containerPort"] == port["port"])
    };
    let unknown = items(&service["spec"]["ports"]).filter(|port| !is_own(port));
    unknown.map(|port| format!("Service {}: {port}", service["metadata"]["name"])).collect()
}

fn ports_of_routes(documents: &[Value]) -> Vec<String> {
    let services = of_kind(documents, "Service");
    let has = |backend: &Value| {
        services
            .iter()
            .filter(|(name, _)| backend["name"] == *name)
            .any(|(_, service)| items(&service["spec"]["ports"]).any(|port| port["port"] == backend["port"]))
    };
    let routes =
        of_kind(documents, "HTTPRoute").into_iter().flat_map(|(_, route)| items(&route["spec"]["rules"]));
    let backends = routes.flat_map(|rule| items(&rule["backendRefs"]));
    backends.filter(|backend| !has(backend)).map(|backend| format!("HTTPRoute: {backend}")).collect()
}

fn ports_of_scrapes(documents: &[Value]) -> Vec<String> {
    let services = of_kind(documents, "Service");
    let has = |selector: &Value, port: &Value| {
        let selected = services.iter().filter(|(_, service)| {
            let labels = &service["metadata"]["labels"];
            selector.as_object().into_iter().flatten().all(|(name, value)| labels[name] == *value)
        });
        let selected: Vec<_> = selected.collect();
        let serves = |service: &Value| items(&service["spec"]["ports"]).any(|own| own["name"] == *port);
        !selected.is_empty() && selected.iter().all(|(_, service)| serves(service))
    };
    let monitors = of_kind(documents, "ServiceMonitor").into_iter().map(|(_, monitor)| &monitor["spec"]);
    let ports = monitors.flat_map(|spec| {
        items(&spec["endpoints"]).map(|endpoint| (&spec["selector"]["matchLabels"], &endpoint["port"]))
    });
    ports.filter(|(selector, port)| !has(selector, port)).map(|(_, port)| format!("scrape: {port}")).collect()
}
