//! The servers start, keep what they hold over a kill, and are gone with their handles.

use mongodb::{Client, bson::doc};
use taja_testkit::{MongoServer, RedisServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn ask(url: &str, line: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn redis_keeps_its_keys_over_a_kill() {
    let mut server = RedisServer::start().await.unwrap();
    let url = server.url();
    assert!(ask(&url, "SET a 1").await.unwrap().starts_with("+OK"));
    // Its log reaches the kernel before the next command is served.
    assert!(ask(&url, "PING").await.unwrap().starts_with("+PONG"));
    server.kill();
    assert!(ask(&url, "GET a").await.is_err());
    server.restart().await.unwrap();
    assert!(ask(&url, "GET a").await.unwrap().starts_with("$1\r\n1"));
    drop(server);
    assert!(ask(&url, "PING").await.is_err());
}

#[tokio::test]
async fn mongo_is_a_primary_that_takes_transactions_and_steps_down() {
    let mut server = MongoServer::start().await.unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let things = client.database("test").collection("things");
    things.insert_one(doc! { "_id": 0 }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    server.step_down(1).await.unwrap();
    things.insert_one(doc! { "_id": 2 }).await.expect("the driver waits for the election and writes again");
    server.kill();
    server.restart().await.unwrap();
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 3);
}
