//! Code generated from `wit/`. The interfaces of `taja:host` exist once, so that all kinds share their types.

#![allow(missing_docs, reason = "generated code documents only what the contract does")]

/// What plugins import.
pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package taja:sdk;

            world host {
                import taja:host/types@0.1.0;
                import taja:host/media@0.1.0;
                import taja:host/embed@0.1.0;
                import taja:host/catalogue@0.1.0;
                import taja:host/job@0.1.0;
                import taja:host/log@0.1.0;
            }
        ",
        generate_all,
    });
}

/// The search world.
pub mod search {
    wit_bindgen::generate!({
        path: "../wit",
        world: "taja:plugin/search",
        with: {
            "taja:host/types@0.1.0": crate::bindings::host::taja::host::types,
            "taja:host/media@0.1.0": crate::bindings::host::taja::host::media,
            "taja:host/embed@0.1.0": crate::bindings::host::taja::host::embed,
            "taja:host/catalogue@0.1.0": crate::bindings::host::taja::host::catalogue,
            "taja:host/job@0.1.0": crate::bindings::host::taja::host::job,
            "taja:host/log@0.1.0": crate::bindings::host::taja::host::log,
        },
        pub_export_macro: true,
        generate_all,
    });
}

/// The ingest world.
pub mod ingest {
    wit_bindgen::generate!({
        path: "../wit",
        world: "taja:plugin/ingest",
        with: {
            "taja:host/types@0.1.0": crate::bindings::host::taja::host::types,
            "taja:host/media@0.1.0": crate::bindings::host::taja::host::media,
            "taja:host/embed@0.1.0": crate::bindings::host::taja::host::embed,
            "taja:host/catalogue@0.1.0": crate::bindings::host::taja::host::catalogue,
            "taja:host/job@0.1.0": crate::bindings::host::taja::host::job,
            "taja:host/log@0.1.0": crate::bindings::host::taja::host::log,
        },
        pub_export_macro: true,
        generate_all,
    });
}

/// The rank world.
pub mod rank {
    wit_bindgen::generate!({
        path: "../wit",
        world: "taja:plugin/rank",
        with: { "taja:host/log@0.1.0": crate::bindings::host::taja::host::log },
        pub_export_macro: true,
        generate_all,
    });
}
