//! The scripts, each of which Redis carries out as one step.

use redis::Script;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("lua/prelude.lua"), include_str!($file)))
    };
}

pub(super) struct Scripts {
    pub(super) enqueue: Script,
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) progress: Script,
    pub(super) got_on: Script,
    pub(super) send_back: Script,
    pub(super) forget: Script,
    pub(super) cancel: Script,
    pub(super) missing: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            enqueue: script!("lua/enqueue.lua"),
            claim: script!("lua/claim.lua"),
            renew: script!("lua/renew.lua"),
            progress: script!("lua/progress.lua"),
            got_on: script!("lua/got_on.lua"),
            send_back: script!("lua/send_back.lua"),
            forget: script!("lua/forget.lua"),
            cancel: script!("lua/cancel.lua"),
            missing: script!("lua/missing.lua"),
        }
    }
}
