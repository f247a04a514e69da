//! `taja jobs`: failed jobs, and starting them again.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde_json::Value;

use super::{
    Usage,
    client::{At, Client},
    write_out,
};

/// Jobs on a page of the list.
const PAGE: u32 = 100;

/// Look at jobs that failed, and start them again.
#[derive(Subcommand)]
pub enum Jobs {
    /// List failed jobs, newest first, and why each failed
    Dead {
        /// How many to show, at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Print as JSON, one object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Start failed jobs again, with all their attempts before them
    Redrive {
        /// The jobs
        jobs: Vec<String>,
        /// All failed jobs
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: At,
    },
}

impl Jobs {
    pub async fn run(self) -> anyhow::Result<bool> {
        match self {
            Self::Dead { limit, json, at } => {
                let failed = at.with(async |client| failed(client, limit).await).await?;
                print(&failed, json)?;
                Ok(true)
            }
            Self::Redrive { jobs, all, at } => {
                if jobs.is_empty() != all {
                    return Err(Usage("name the jobs to start again, or give --all".into()).into());
                }
                at.with(async |client| redrive(client, jobs, all).await).await
            }
        }
    }
}

async fn failed(client: &Client, limit: usize) -> anyhow::Result<Vec<Value>> {
    let mut failed = Vec::new();
    let mut before = String::new();
    loop {
        let mut page = client.get(&format!("/jobs?status=failed&limit={PAGE}{before}")).await?;
        failed.extend(page["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default());
        match page["next"].as_str() {
            Some(next) if failed.len() < limit => before = format!("&before={next}"),
            _ => break,
        }
    }
    failed.truncate(limit);
    Ok(failed)
}

/// Starts each again; one that cannot be does not keep the others from it.
async fn redrive(client: &Client, mut jobs: Vec<String>, all: bool) -> anyhow::Result<bool> {
    if all {
        let failed = failed(client, usize::MAX).await?;
        jobs = failed.iter().filter_map(|job| job["job_id"].as_str().map(str::to_owned)).collect();
    }
    let mut good = true;
    for job in &jobs {
        match client.post(&format!("/jobs/{job}/redrive")).await {
            Ok(_) => write_out(job)?,
            Err(error) => {
                good = false;
                eprintln!("{job}: {error:#}");
            }
        }
    }
    Ok(good)
}

fn print(jobs: &[Value], json: bool) -> anyhow::Result<()> {
    if json {
        return jobs.iter().try_for_each(|job| write_out(&job.to_string()));
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["job", "kind", "failed at", "attempts", "blame", "why"]);
    for job in jobs {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (error, attempts) = (&job["error"], job["attempts"].to_string());
        table.add_row([
            text(&job["job_id"]),
            text(&job["kind"]),
            text(&job["finished_at"]),
            attempts,
            text(&error["blame"]),
            format!("{}: {}", text(&error["code"]), text(&error["message"])),
        ]);
    }
    write_out(&table.to_string())
}
