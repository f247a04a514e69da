//! The settings as command-line flags, one for each in the table.

use std::{collections::HashMap, path::PathBuf};

use anyhow::Context;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, Role, SETTINGS, Sources};

/// Flags of every setting, and `--config`.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: HashMap<String, String>,
    file: Option<PathBuf>,
}

impl Settings {
    /// What a flag says, which then says nothing of the configuration any more.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Lets a flag say something, or nothing.
    pub fn put(&mut self, name: &str, value: Option<String>) {
        self.values.remove(name);
        self.values.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// The configuration of a process that does everything itself.
    pub fn read(&self) -> anyhow::Result<Config> {
        self.read_for(Role::Serve)
    }

    /// The configuration from flags, environment, and `taja.toml` (or the file that `--config` names).
    pub fn read_for(&self, role: Role) -> anyhow::Result<Config> {
        let named = self.file.clone();
        let path = named.clone().unwrap_or_else(|| "taja.toml".into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(error) => {
                return Err(error).with_context(|| format!("configuration file {}", path.display()));
            }
        };
        let environment = |name: &str| std::env::var(name).ok();
        let sources = Sources { role, command_line: self.values.clone(), environment: &environment, file };
        Ok(Config { compiler: Some(this_program()?), ..Config::read(&sources)? })
    }
}

/// The file of this very program, also after an update put another in its place.
fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("configuration file [default: taja.toml]");
        let command =
            command.next_help_heading("Settings (also in the environment and in taja.toml)").arg(config);
        SETTINGS.iter().fold(command, |command, setting| {
            let default = if setting.default.is_empty() {
                String::new()
            } else {
                format!(" [default: {}]", setting.default)
            };
            let variables: Vec<_> = setting.variables().collect();
            let help = format!("{} [env: {}]{default}", setting.help, variables.join(" or "));
            command.arg(Arg::new(setting.name).long(setting.name).value_name("VALUE").help(help))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name: &str| matches.get_one::<String>(name).cloned();
        let values =
            SETTINGS.iter().filter_map(|setting| Some((setting.name.to_owned(), value(setting.name)?)));
        Ok(Self { values: values.collect(), file: value("config").map(PathBuf::from) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
