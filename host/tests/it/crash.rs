//! What a crash leaves behind: nothing lost, nothing doubled.

use reqwest::multipart::Form;

use crate::{
    pictures::{another_view, photograph},
    support::{Server, product},
};

const PICTURES: &[&str] = &[
    "astronaut",
    "chelsea",
    "coffee",
    "rocket",
    "motorcycle_left",
    "coins",
    "hubble_deep_field",
    "retina",
    "camera",
    "ihc",
];

fn with_two_pictures(name: &str) -> Form {
    product(name, vec![photograph(name), another_view(name)])
}

#[tokio::test]
async fn a_kill_in_mid_job_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A short lease, so that the next process need not wait long for the dead one's jobs.
    let settings = [("lease-seconds", "2"), ("attempts", "10")];
    let mut server = Server::start_on(folder.path(), &settings).await;
    let mut jobs = Vec::new();
    // Made before, so that the jobs come in one burst and the first kill finds most of them waiting.
    let forms: Vec<_> = PICTURES.iter().map(|name| with_two_pictures(name)).collect();
    for form in forms {
        let (status, accepted) = server.post("/add_product", form).await;
        assert_eq!(status, 202);
        jobs.push(accepted["job_id"].as_str().unwrap().to_owned());
    }
    for settled in [1, 4, 7] {
        // In mid-work: some jobs are done, others run, the rest waits.
        server.job("/add_product", &jobs[settled]).await;
        server.kill().await;
        server = Server::start_on(folder.path(), &settings).await;
    }
    let (mut images, mut interrupted) = (0, 0);
    for job in &jobs {
        let job = server.job("/add_product", job).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(
            job["result"]["status"], "success",
            "a job that ran twice took its own work for a duplicate: {job}"
        );
        images += job["result"]["added"].as_u64().unwrap();
        let (_, resource) = server.get(&format!("/jobs/{}", job["job_id"].as_str().unwrap())).await;
        interrupted += u64::from(resource["attempts"].as_u64().unwrap() > 1);
    }
    assert!(interrupted > 0, "no kill came in the middle of a job");
    assert_eq!(server.counts().await, (PICTURES.len() as u64, images));
    // What the dead processes left is swept at the next start.
    assert!(server.terminate().await.success());
    let _server = Server::start_on(folder.path(), &settings).await;
    let staged = std::fs::read_dir(folder.path().join("staging")).unwrap().count();
    assert_eq!(staged, 0, "uploads of finished jobs are gone");
}

#[tokio::test]
async fn a_second_process_does_not_open_the_same_data_folder() {
    let server = Server::start().await;
    let mut second = crate::support::taja();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&server.data);
    let ended = second.output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let message = String::from_utf8_lossy(&ended.stderr);
    assert!(message.contains("in use by another taja process"), "{message}");
}
