//! Writes what is derived from the contract in `wit/`: the types of the TypeScript SDK and `plugins/REFERENCE.md`.
//!
//! `cargo run -p taja-wit-generator` writes them; with `--check` it names those that are not as they would be written.

mod contract;
mod files;
mod reference;
mod typescript;

use std::{env, process::ExitCode};

use anyhow::bail;

use crate::{contract::Contract, files::Files};

fn main() -> anyhow::Result<ExitCode> {
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: taja-wit-generator [--check]"),
    };
    let files = derived()?;
    if !check {
        files.write()?;
        return Ok(ExitCode::SUCCESS);
    }
    let stale = files.stale()?;
    for path in &stale {
        eprintln!("{} is stale: run `cargo run -p taja-wit-generator`", path.display());
    }
    Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All files that are made from the contract.
fn derived() -> anyhow::Result<Files> {
    let contract = Contract::read(&files::root().join("wit"))?;
    let mut files = typescript::files(&contract)?;
    files.push(("plugins/REFERENCE.md".into(), reference::text(&contract)?));
    Ok(Files::new(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_the_contract_is_as_it_would_be_made_now() {
        let stale = derived().unwrap().stale().unwrap();
        assert!(stale.is_empty(), "stale: {stale:?}; run `cargo run -p taja-wit-generator`");
    }
}
