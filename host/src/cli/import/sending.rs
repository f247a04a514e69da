//! Parts of a file on their way: each is a job, the same one when it is sent again, and is followed to its end.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{anyhow, bail};
use bytes::Bytes;
use futures::stream;
use indicatif::ProgressBar;
use reqwest::{
    Body, RequestBuilder,
    header::CONTENT_TYPE,
    multipart::{self, Part as FormPart},
};
use serde_json::{Value, json};
use taja_catalog::ImageHash;

use super::{
    super::{
        client::{Client, Refused},
        follow::follow,
        patience::patiently,
    },
    Journal,
    parts::{Form, Load, Part, Row, said},
};

/// How often a part is given to another job after one that failed and cannot be started again.
const MAX_JOBS: usize = 3;

/// Sends parts, several at once.
pub struct Sender<'a> {
    client: &'a Client,
    journal: Mutex<Journal>,
    bar: ProgressBar,
}

/// What became of a row: the finished job, or why there is none.
pub struct Done {
    /// Where the row begins in the file.
    pub line: u64,
    /// What the product is called.
    pub name: String,
    /// The job as `/add_product/job/{id}` shows one.
    pub outcome: anyhow::Result<Value>,
}

impl<'a> Sender<'a> {
    /// Sends to this server; the bar goes on by a step for each row.
    pub fn new(client: &'a Client, journal: Journal, bar: ProgressBar) -> Self {
        Self { client, journal: Mutex::new(journal), bar }
    }

    /// All was sent.
    pub fn close(self) -> anyhow::Result<()> {
        Ok(self.journal.into_inner().unwrap_or_else(PoisonError::into_inner).close()?)
    }

    /// Sends a part; what became of its rows, in their order. An error when it is not known of them.
    pub async fn send(&self, part: Part) -> anyhow::Result<Vec<Done>> {
        match part.load {
            Load::Rows(rows) => self.rows(part.digest, rows).await,
            Load::Form(form) => Ok(vec![self.form(&part.digest, form).await?]),
        }
    }

    /// Sends rows as one file, or as several where the server takes less at once.
    async fn rows(&self, part: ImageHash, rows: Vec<Row>) -> anyhow::Result<Vec<Done>> {
        let (mut waiting, mut done) = (vec![(part, rows)], Vec::new());
        while let Some((part, mut rows)) = waiting.pop() {
            match self.file(&part, &rows).await {
                Ok(job) => done.extend(self.outcomes(job, rows.into_iter().map(unsent).collect()).await?),
                Err(error) if is_too_much(&error) => {
                    if said(&rows).count() == 1 {
                        let mut refused: Vec<_> = rows.into_iter().map(unsent).collect();
                        for row in &mut refused {
                            row.problem.get_or_insert_with(|| error.to_string());
                        }
                        done.extend(self.outcomes(None, refused).await?);
                    } else {
                        let rest = rows.split_off(rows.len() / 2);
                        waiting.push((derived(&part, "rest"), rest));
                        waiting.push((derived(&part, "first"), rows));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The job that takes rows in; none when there is nothing to send of them.
    async fn file(&self, part: &ImageHash, rows: &[Row]) -> anyhow::Result<Option<String>> {
        let lines: Vec<Bytes> = rows.iter().filter_map(|row| row.text.as_ref().ok().cloned()).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let begin = |key: ImageHash| {
            let lines = stream::iter(lines.clone().into_iter().map(Ok::<_, Infallible>));
            async move {
                let with_body = |request: RequestBuilder| {
                    request.header(CONTENT_TYPE, "application/x-ndjson").body(Body::wrap_stream(lines))
                };
                self.client.begin("/products:import", &key.to_string(), with_body).await
            }
        };
        self.begun(part, begin).await.map(Some)
    }

    /// Sends a row as a form, whose files are read while they are sent.
    async fn form(&self, part: &ImageHash, form: Form) -> anyhow::Result<Done> {
        let Form { line, name, fields, images } = form;
        let begin = |key: ImageHash| {
            let (fields, images) = (&fields, &images);
            async move {
                let mut form = multipart::Form::new();
                for (name, value) in fields {
                    form = form.text(name.clone(), value.clone());
                }
                for image in images {
                    form = form.part("images", FormPart::file(image).await?);
                }
                let with_body = |request: RequestBuilder| request.multipart(form);
                self.client.begin("/add_product", &key.to_string(), with_body).await
            }
        };
        let outcome = match self.begun(part, begin).await {
            Ok(job) => {
                let ended = follow(self.client, &job, |_| {}).await?;
                let completed = ended["status"] == "completed";
                Ok(finished(&job, if completed { Ok(&ended["result"]) } else { Err(&ended["error"]) }))
            }
            // The row is at fault, or a file that it names.
            Err(error) if error.is::<Refused>() || error.is::<io::Error>() => Err(error),
            Err(error) => return Err(error),
        };
        self.bar.inc(1);
        Ok(Done { line, name, outcome })
    }

    /// The job that takes a part in: one that was begun before, or another one.
    async fn begun<F>(&self, part: &ImageHash, begin: impl Fn(ImageHash) -> F) -> anyhow::Result<String>
    where
        F: Future<Output = anyhow::Result<String>>,
    {
        let (known, mut key) = {
            let journal = self.journal();
            (journal.job_of(part), journal.key_of(part))
        };
        if let Some(job) = known
            && self.goes_on(&job).await?
        {
            return Ok(job);
        }
        for _ in 0..MAX_JOBS {
            let job = patiently(|| begin(key)).await?;
            if self.goes_on(&job).await? {
                self.journal().note(part, &job)?;
                return Ok(job);
            }
            key = derived(&key, &job);
        }
        bail!("jobs that take the file in are called off again and again")
    }

    /// Whether a job runs, or did what it had to. One that failed is started again, where that is allowed.
    async fn goes_on(&self, job: &str) -> anyhow::Result<bool> {
        let (read, redrive) = (format!("/jobs/{job}"), format!("/jobs/{job}/redrive"));
        match patiently(|| self.client.get(&read)).await {
            Ok(job) if job["status"] != "failed" => Ok(true),
            Ok(_) => match patiently(|| self.client.post(&redrive)).await {
                Ok(_) => Ok(true),
                Err(error) if error.is::<Refused>() => Ok(false),
                Err(error) => Err(error),
            },
            Err(error) if refused_with(&error, 404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of rows, once the job has ended that took those in that were sent.
    async fn outcomes(&self, job: Option<String>, rows: Vec<Unsent>) -> anyhow::Result<Vec<Done>> {
        let steps = rows.len() as u64;
        let (job, (mut results, why)) = match job {
            Some(job) => {
                let results = self.results(&job, steps).await?;
                (job, results)
            }
            None => {
                self.bar.inc(steps);
                Default::default()
            }
        };
        // The results count the rows that were sent.
        let mut sent = 0;
        let mut outcome = |problem: Option<String>| match problem {
            Some(problem) => Err(anyhow!(problem)),
            None => {
                sent += 1;
                results.remove(&sent).ok_or_else(|| anyhow!(why.clone()))
            }
        };
        let mut done = Vec::with_capacity(rows.len());
        for Unsent { line, name, problem } in rows {
            let outcome = outcome(problem).map(|result| match result["status"] == "failed" {
                true => finished(&job, Err(&result["error"])),
                false => finished(&job, Ok(&result)),
            });
            done.push(Done { line, name, outcome });
        }
        Ok(done)
    }

    /// What a job tells of each row, by its number, and what is to be said of those that it tells nothing of.
    async fn results(&self, job: &str, steps: u64) -> anyhow::Result<(HashMap<u64, Value>, String)> {
        let mut counted = 0;
        let ended = follow(self.client, job, |percent| {
            let done = steps * percent.min(100) / 100;
            self.bar.inc(done.saturating_sub(counted));
            counted = counted.max(done);
        });
        let ended = ended.await?;
        self.bar.inc(steps.saturating_sub(counted));
        let route = format!("/jobs/{job}/results");
        let text = patiently(|| async { Ok(self.client.stream(&route, &[]).await?.bytes().await?) }).await?;
        let mut results = HashMap::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut result: Value = serde_json::from_slice(line)?;
            let number = result.as_object_mut().and_then(|result| result.remove("line")?.as_u64());
            results.extend(number.map(|number| (number, result)));
        }
        let why = ended["error"]["message"].as_str().unwrap_or("the server does not tell what became of it");
        Ok((results, why.to_owned()))
    }
}

/// A row without what is sent of it.
struct Unsent {
    line: u64,
    name: String,
    problem: Option<String>,
}

fn unsent(row: Row) -> Unsent {
    Unsent { line: row.line, name: row.name, problem: row.text.err() }
}

/// A name of its own for what follows from another one.
fn derived(from: &ImageHash, how: &str) -> ImageHash {
    ImageHash::of(format!("{from} {how}").as_bytes())
}

fn refused_with(error: &anyhow::Error, status: u16) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == status)
}

/// Whether fewer rows at once might be taken.
fn is_too_much(error: &anyhow::Error) -> bool {
    let too_many = error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == "too_many_rows");
    too_many || refused_with(error, 413)
}

/// A finished job as `/add_product/job/{id}` shows it, of its result or of its error.
fn finished(job: &str, told: Result<&Value, &Value>) -> Value {
    match told {
        Ok(result) => json!({ "job_id": job, "status": "completed", "result": result }),
        Err(error) => {
            json!({ "job_id": job, "status": "failed", "error": error["message"], "failure": error })
        }
    }
}
