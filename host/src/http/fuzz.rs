//! Bodies and cursors that may be anything: they are read, or refused as the client's mistake.

use std::panic::AssertUnwindSafe;

use axum::{
    body::Body,
    extract::{FromRequest, Multipart},
    http::{Request, header},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use taja_catalog::{EffectKey, order::ListOrder};
use taja_media::{ImageType, VideoType};
use taja_queue::JobId;

use super::{
    form::{FileKind, Form},
    products, results,
};
use crate::{config::Limits, staging::Staging};

const BOUNDARY: &str = "b";

#[test]
fn any_body_is_a_form_or_the_clients_mistake() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let staging = runtime.block_on(Staging::open(folder.path().join("staging"), None)).expect("it opens");
    // What a body that panics leaves behind is looked at by nobody.
    let staging = AssertUnwindSafe(staging);
    let limits = Limits {
        image_types: vec![ImageType::Jpeg, ImageType::Png],
        video_types: vec![VideoType::Mp4],
        images: 4,
        image_bytes: 4096,
        video_bytes: 4096,
        request_bytes: 1 << 20,
        import_bytes: 0,
        import_rows: 0,
        plugin_bytes: 0,
        pixels: 0,
    };
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(bytes, places)| {
        for body in [bytes.clone(), woven(bytes, places)] {
            let mut batch = staging.batch(JobId::new());
            let read = runtime.block_on(async {
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                let request = Request::post("/").header(header::CONTENT_TYPE, kind).body(Body::from(body));
                let request = request.expect("a request");
                let multipart = Multipart::from_request(request, &()).await.expect("it is multipart");
                let wanted =
                    |name: &str, _| (name == "image").then_some(&[FileKind::Image, FileKind::Video][..]);
                Form::receive(multipart, &mut batch, &limits, wanted).await
            });
            if let Err(problem) = read {
                assert!((400..500).contains(&problem.status), "{problem:?}");
            }
        }
    });
}

/// Something that looks more like a form than any bytes do: pieces of forms, chosen by the places, around the bytes.
fn woven(bytes: &[u8], places: &[u8]) -> Vec<u8> {
    const PIECES: [&[u8]; 10] = [
        b"--b\r\n",
        b"--b--\r\n",
        b"Content-Disposition: form-data; name=\"image\"; filename=\"x\"\r\n",
        b"Content-Disposition: form-data; name=\"name\"\r\n",
        b"Content-Type: image/jpeg\r\n",
        b"\r\n",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\0\0\0\x18ftypmp42",
    ];
    let mut woven = b"--b\r\n".to_vec();
    for place in places.iter().take(64) {
        woven.extend_from_slice(PIECES.get(usize::from(*place)).copied().unwrap_or(bytes));
    }
    woven
}

#[test]
fn any_text_is_a_cursor_or_the_clients_mistake() {
    let job = JobId::new();
    bolero::check!().with_type::<String>().for_each(|text| {
        let of_job = format!("{}{text}", job.to_string().replace('-', ""));
        let statuses = [
            results::read_cursor(text, job).err(),
            results::read_cursor(&of_job, job).err(),
            products::list::read_place(text, ListOrder::NEWEST).err(),
            products::list::read_place(&BASE64_URL_SAFE_NO_PAD.encode(text), ListOrder::NEWEST).err(),
            products::list::read_cursor::<EffectKey>(text).err(),
            products::list::read_cursor::<EffectKey>(&BASE64_URL_SAFE_NO_PAD.encode(text)).err(),
        ];
        for problem in statuses.into_iter().flatten() {
            assert_eq!(problem.status, 422, "{problem:?}");
        }
    });
}
