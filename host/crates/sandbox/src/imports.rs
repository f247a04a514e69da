//! What a component imports, against what its kind is offered and what the plugin is granted.

use std::collections::BTreeSet;

use wasmtime::{
    Engine,
    component::{
        Component, Type,
        types::{ComponentFunc, ComponentItem},
    },
};

use crate::{contract::HOST, limits::Kind, manifest::Capability};

/// The interfaces of the host.
const INTERFACES: [&str; 6] = ["types", "media", "embed", "catalogue", "job", "log"];
/// What standard libraries drag in, and every plugin may import.
const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];
/// What reaches outside, and no plugin may import.
const NETWORK: [&str; 2] = ["wasi:sockets/", "wasi:http/"];

/// Names the imports that plugins of a kind do not get, and what to do about each.
pub(crate) fn check_offered(engine: &Engine, component: &Component, kind: Kind) -> Result<(), String> {
    let ty = component.component_type();
    let complaints: Vec<_> = ty
        .imports(engine)
        .filter_map(|(name, _)| Some(format!("imports {name}, {}", complaint(name, kind)?)))
        .collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

/// Why an import is not offered, and what to do; none when it is.
fn complaint(name: &str, kind: Kind) -> Option<String> {
    let starts = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
    match HOST.interface(name) {
        Some((_, version)) if !HOST.runs(version.as_ref()) => {
            Some(format!("and this host runs {}: build it against the wit/ of this host", HOST.told()))
        }
        Some((interface, _)) if !INTERFACES.contains(&interface) => {
            let (runs, has) = (HOST.told(), INTERFACES.join(", "));
            Some(format!("but {runs} has {has}: use one of these, or bring it to a newer host"))
        }
        Some((interface, _)) if kind == Kind::Rank && interface != "log" => Some(
            "which a rank plugin does not get: order by what the candidates hold, or look things up in a search plugin"
                .into(),
        ),
        Some(_) => None,
        None if starts(&WASI) => None,
        None if starts(&NETWORK) => Some(
            "and plugins have no network: leave out what uses it, and ask the host through taja:host instead".into(),
        ),
        None => Some(format!(
            "which this host does not have: leave out what uses it; there are taja:host and, of WASI, {}",
            WASI.map(|start| start.trim_end_matches('/')).join(", ")
        )),
    }
}

/// The capabilities without which some import of the component would be denied.
pub(crate) fn needed(engine: &Engine, component: &Component) -> BTreeSet<Capability> {
    let ty = component.component_type();
    let needs = |(name, item): (&str, ComponentItem)| {
        let capability = capability(name)?;
        let ComponentItem::ComponentInstance(interface) = item else { return None };
        let needs = interface.exports(engine).any(|(name, export)| match export.ty {
            ComponentItem::ComponentFunc(function) => can_be_denied(capability, name, &function),
            _ => false,
        });
        needs.then_some(capability)
    };
    ty.imports(engine).filter_map(|(name, import)| needs((name, import.ty))).collect()
}

fn capability(import: &str) -> Option<Capability> {
    HOST.interface(import)?.0.parse().ok()
}

/// What answers with a refusal asks for the capability; plain accessors do not. The job's functions have no way to
/// refuse and stay silent instead; its budget is for everyone.
fn can_be_denied(capability: Capability, name: &str, function: &ComponentFunc) -> bool {
    match capability {
        Capability::Job => name != "remaining",
        _ => function.results().any(|result| matches!(result, Type::Result(_))),
    }
}
