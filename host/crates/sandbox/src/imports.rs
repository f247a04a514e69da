//! What a component imports, against what its kind is offered and what the plugin is granted.

use std::collections::BTreeSet;

use wasmtime::{
    Engine,
    component::{
        Component, Type,
        types::{ComponentFunc, ComponentItem},
    },
};

use crate::{limits::Kind, manifest::Capability};

/// Names the imports that plugins of a kind do not get.
pub(crate) fn check_offered(engine: &Engine, component: &Component, kind: Kind) -> Result<(), String> {
    const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];
    let offered = |name: &str| match kind {
        _ if name.starts_with("taja:host/log@") => true,
        Kind::Search | Kind::Ingest if name.starts_with("taja:host/") => true,
        _ => WASI.iter().any(|allowed| name.starts_with(allowed)),
    };
    let ty = component.component_type();
    let foreign: Vec<_> = ty.imports(engine).map(|(name, _)| name).filter(|name| !offered(name)).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(format!("imports {}, which a {kind} plugin does not get", foreign.join(", ")))
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
    let interface = import.strip_prefix("taja:host/")?.split('@').next()?;
    interface.parse().ok()
}

/// What answers with a refusal asks for the capability; plain accessors do not. The job's functions have no way to
/// refuse and stay silent instead; its budget is for everyone.
fn can_be_denied(capability: Capability, name: &str, function: &ComponentFunc) -> bool {
    match capability {
        Capability::Job => name != "remaining",
        _ => function.results().any(|result| matches!(result, Type::Result(_))),
    }
}
