//! A kind of query that the host never heard of: a plugin brings it, and searches with a part of that name work.

use reqwest::multipart::Form;

use crate::{
    pictures::photograph,
    support::{Server, file, names, product, root},
};

#[tokio::test]
async fn a_new_modality_is_brought_by_a_file_in_the_plugin_folder() {
    let plugins = tempfile::tempdir().unwrap();
    for bundled in std::fs::read_dir(crate::support::provisioned("TAJA_PLUGINS", "target/plugins")).unwrap() {
        let path = bundled.unwrap().path();
        std::fs::copy(&path, plugins.path().join(path.file_name().unwrap())).unwrap();
    }
    let folder = plugins.path().to_str().unwrap();
    let server = Server::start_with(&[("plugins", folder)]).await;
    for (name, picture, ean) in [("Coffee", "coffee", "4006381333931"), ("Rocket", "rocket", "96385074")] {
        let form = product(name, vec![photograph(picture)]);
        server.result("/add_product", form.text("attributes", format!("{{\"ean\": \"{ean}\"}}"))).await;
    }
    let digits = || Form::new().text("barcode", "4006381333931");
    let (status, refused) = server.post("/search", digits()).await;
    assert_eq!((status, refused["errors"][0]["pointer"].as_str()), (422, Some("/barcode")), "{refused}");

    let example = root().join("plugins/examples/search-barcode");
    // Whole or not at all, as a person's file manager moves it.
    let part = plugins.path().join("barcode.part");
    std::fs::copy(example.join("build/search-barcode.wasm"), &part).unwrap();
    std::fs::rename(part, plugins.path().join("search-barcode.wasm")).unwrap();
    let accepted = async { while server.post("/search", digits()).await.0 != 202 {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), accepted).await.expect("it serves");
    assert_eq!(server.found(digits()).await, ["Coffee"]);
    for (picture, found) in
        [("ean-13.png", "Coffee"), ("upright.png", "Coffee"), ("ean-8-upside-down.png", "Rocket")]
    {
        let bytes = std::fs::read(example.join("tests").join(picture)).unwrap();
        let result = server.result("/search", Form::new().part("barcode", file(bytes, picture))).await;
        assert_eq!(names(&result), [found], "{picture}: {result}");
    }
    let result = server.result("/search", digits().text("query", "rocket")).await;
    assert_eq!(result["total"], 2, "both kinds together: {result}");
    let wrong = server.finish("/search", Form::new().text("barcode", "4006381333932")).await;
    assert!(wrong["error"].to_string().contains("no valid barcode"), "{wrong}");
}
