//! `taja export`: all products of a shop as a file that can be imported again.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::client::At;

/// How a file is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// A row of names, then a row per product
    Csv,
}

/// Export the products of a shop, newest first, with the addresses of their pictures.
#[derive(Args)]
pub struct Export {
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Only those that pass, as JSON: '{"stock": {"gt": 0}}'
    #[arg(long)]
    filter: Option<String>,
    /// Where to; standard output unless told
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl Export {
    pub async fn run(self) -> anyhow::Result<bool> {
        let format = match self.format {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        };
        let query = [("format", Some(format.to_owned())), ("filter", self.filter)];
        let mut out: Box<dyn Write> = match &self.out {
            Some(path) => Box::new(
                std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
            ),
            None => Box::new(std::io::stdout()),
        };
        self.at
            .with(async |client| {
                let mut answer = client.stream("/products:export", &query).await?;
                while let Some(chunk) = answer.chunk().await? {
                    out.write_all(&chunk)?;
                }
                Ok(out.flush()?)
            })
            .await?;
        Ok(true)
    }
}
