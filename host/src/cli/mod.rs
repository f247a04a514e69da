//! The command line: one file for each command.

mod access;
mod client;
mod eval;
mod export;
mod follow;
mod import;
mod jobs;
mod migrate;
mod model;
mod patience;
mod plugin;
mod products;
mod pull;
mod search;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use taja_sandbox::compile::{self, SUBCOMMAND};

use crate::config::Role;

/// Product search and catalogue for shops that sell through chat.
///
/// With no configuration everything is embedded: one process, one data folder. Start with `taja serve`, then add
/// products over HTTP or with `taja import`, and look for them with `taja search`.
#[derive(Parser)]
#[command(name = "taja", version, max_term_width = 110, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const PLUGIN_HELP: &str = "Commands that act on the service mean every shop that has nothing of its own, or with \
                           `--tenant SHOP` that shop. With a shop's key (TAJA_API_KEY) they mean the shop of the key.";

#[derive(Subcommand)]
enum Command {
    /// Serve the HTTP interface and run jobs, until SIGTERM or Ctrl-C
    Serve(serve::Serve),
    /// Serve the HTTP interface beside other processes, and leave the jobs to workers
    Api(serve::Process),
    /// Run jobs beside other processes
    Worker(serve::Process),
    /// Add the products of a file to the catalogue
    Import(import::Import),
    /// Write the products of a shop to a file that can be imported again
    Export(export::Export),
    /// Find products by words, a picture, a video, or several together
    Search(search::SearchCommand),
    /// List, show and delete products
    #[command(subcommand)]
    Products(products::Products),
    /// Measure searches by judgements, of what serves and of what might
    Eval(eval::Eval),
    /// Look at jobs that failed, and start them again
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Register and list shops
    #[command(subcommand)]
    Tenant(access::Tenants),
    /// Make, list and revoke the keys of a shop
    #[command(subcommand)]
    Key(access::Keys),
    /// Bring products that an older service wrote to MongoDB to the present form
    Migrate(migrate::Migrate),
    /// Make policy components, bring them to the service, and decide which of them serve whom
    #[command(subcommand, after_help = PLUGIN_HELP)]
    Plugin(plugin::Plugin),
    /// List, check, fetch and change embedding models
    #[command(subcommand)]
    Model(model::Model),
    /// Print the OpenAPI 3.1 description of the HTTP interface
    Openapi,
    /// Compile a component as a process of its own; the service starts it
    #[command(name = SUBCOMMAND, hide = true)]
    CompileComponent { arguments: Vec<String> },
}

/// Something that was asked for wrongly: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Runs the program: exit status 0 done, 1 the work failed, 2 wrong usage.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::CompileComponent { arguments } = &command {
        return compile::child(arguments);
    }
    // Those that stay log as they are configured.
    if !matches!(command, Command::Serve(_) | Command::Api(_) | Command::Worker(_)) {
        // What becomes of each case they tell themselves.
        let tells = matches!(command, Command::Plugin(plugin::Plugin::Test(_) | plugin::Plugin::Bench(_)));
        let default = if tells { "error" } else { "warn" };
        crate::telemetry::init_logs(&std::env::var("TAJA_LOG").unwrap_or_else(|_| default.into()), false);
    }
    match start(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            let usage = error.is::<Usage>() || error.is::<crate::config::ConfigError>();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Runs a command; false when it ran but its work, or a part of it, failed.
fn start(command: Command) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(serve) => serve.run().await,
            Command::Api(process) => process.run(Role::Api).await,
            Command::Worker(process) => process.run(Role::Worker).await,
            Command::Import(import) => import.run().await,
            Command::Export(export) => export.run().await,
            Command::Search(search) => search.run().await,
            Command::Products(products) => products.run().await,
            Command::Eval(eval) => eval.run().await,
            Command::Jobs(jobs) => jobs.run().await,
            Command::Tenant(tenants) => tenants.run().await,
            Command::Key(keys) => keys.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Plugin(plugin) => plugin.run().await,
            Command::Model(model) => model.run().await,
            Command::CompileComponent { .. } => unreachable!("it ends before there is a runtime"),
            Command::Openapi => {
                write_out(&serde_json::to_string_pretty(&crate::http::openapi())?)?;
                Ok(true)
            }
        }
    })
}

/// One line of data on standard output. A reader that went away (`| head`) ends the program quietly.
fn write_out(line: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_command_names_two_things_the_same() {
        Cli::command().debug_assert();
    }
}
