//! The table of settings.

/// One setting: its name on the command line (`--data`), in the file (`data`) and in the environment (`TAJA_DATA`).
/// Some have a second name in the environment, under which other services know the same thing.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name, with hyphens.
    pub name: &'static str,
    /// What it is when nobody says anything; empty means none.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Its second name in the environment.
    pub alias: Option<&'static str>,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help, alias: None }
}

impl Setting {
    const fn also(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// Its variables in the environment, the stronger one first.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        [Some(variable(self.name)), self.alias.map(str::to_owned)].into_iter().flatten()
    }
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("TAJA_{}", name.replace('-', "_").to_uppercase())
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8000", "address and port to serve on; port 0 takes a free one"),
    setting("data", "./data", "folder that holds everything stored"),
    setting("plugins", "./target/plugins", "folder with the policy components (*.wasm)"),
    setting("model", "./.tools/models/default", "folder with the model's files and its model.toml"),
    setting("onnxruntime", "./.tools/onnxruntime/lib/libonnxruntime.so", "the ONNX Runtime library to load"),
    setting("ffmpeg", "./.tools/bin/ffmpeg", "the ffmpeg program that decodes videos"),
    setting(
        "public-url",
        "",
        "what the addresses of hosted images begin with; the listen address unless set",
    ),
    setting(
        "api-key",
        "",
        "the operator's key, shown as `Authorization: Bearer KEY`; without one only a loopback address is served",
    ),
    setting(
        "key-requests-per-minute",
        "1200",
        "requests per minute of a shop's key that has no limit of its own, at each process; 0 for no limit",
    ),
    setting("api-prefix", "/api/v1", "where every route is served besides /").also("API_V1_STR"),
    setting("log", "info", "what is logged: a level, or levels by module (info,taja_queue=debug)")
        .also("LOG_LEVEL"),
    setting(
        "environment",
        "development",
        "development or production; production logs JSON also to a terminal",
    )
    .also("ENVIRONMENT"),
    setting(
        "mongo-uri",
        "",
        "MongoDB that stores products and job records; a file in the data folder unless set",
    )
    .also("MONGO_URI"),
    setting("mongo-db", "taja", "the database there").also("MONGO_DB"),
    setting("mongo-collection", "products", "the collection of products there").also("MONGO_COLLECTION"),
    setting("redis-url", "", "Redis that hands out jobs; a file in the data folder unless set")
        .also("REDIS_URL"),
    setting(
        "cloudinary-url",
        "",
        "cloudinary://KEY:SECRET@CLOUD, where pictures are hosted; a folder unless set",
    )
    .also("CLOUDINARY_URL"),
    setting("cloudinary-cloud-name", "", "the cloud, in place of cloudinary-url")
        .also("CLOUDINARY_CLOUD_NAME"),
    setting("cloudinary-api-key", "", "its key").also("CLOUDINARY_API_KEY"),
    setting("cloudinary-api-secret", "", "its secret").also("CLOUDINARY_API_SECRET"),
    setting("cloudinary-folder", "taja", "what the public ids of pictures begin with")
        .also("CLOUDINARY_FOLDER"),
    setting("cloudinary-api", "https://api.cloudinary.com", "where pictures are uploaded to"),
    setting("cloudinary-delivery", "https://res.cloudinary.com", "where pictures are delivered from"),
    setting(
        "clip-model-name",
        "",
        "the model that is expected, such as ViT-L/14; looked for beside the default one",
    )
    .also("CLIP_MODEL_NAME"),
    setting("embedding-dimension", "0", "the dimension that is expected of the model; 0 takes any")
        .also("EMBEDDING_DIMENSION"),
    setting("similarity-threshold", "0", "cosine below which a picture is no match for a picture")
        .also("SIMILARITY_THRESHOLD"),
    setting(
        "image-types",
        "image/jpeg,image/png,image/webp,image/gif,image/bmp",
        "types of images that are taken",
    )
    .also("ALLOWED_IMAGE_TYPES"),
    setting(
        "video-types",
        "video/mp4,video/quicktime,video/x-matroska,video/webm,video/x-msvideo",
        "types of videos that are taken",
    )
    .also("ALLOWED_VIDEO_TYPES"),
    setting("tenant", "default", "the shop that requests belong to"),
    setting("rank-plugin", "rank-default", "the plugin that ranks"),
    setting("ingest-plugin", "ingest-product", "the plugin that decides on new products"),
    setting("plugin-settings", "{}", "settings by plugin name, a JSON object of objects"),
    setting(
        "plugin-trusted-keys",
        "",
        "public keys that plugins must be signed with, NAME=HEX, separated by commas; unsigned ones are taken without any",
    ),
    setting(
        "tenant-capabilities",
        "",
        "what plugins get that a shop uploads itself: of media, embed, catalogue, job, separated by commas",
    ),
    setting(
        "plugin-poll-seconds",
        "5",
        "how often changes of policies are looked for that nobody announced, seconds",
    ),
    setting(
        "plugin-limits",
        "cpu_ms=10000,wall_ms=120000,memory_mib=256,host_calls=4096,hostcall_fuel_kib=16384,handles=8192,log_kib=256",
        "the most that a call of one of the operator's plugins may use up, whatever its manifest asks for",
    ),
    setting(
        "tenant-plugin-limits",
        "cpu_ms=500,wall_ms=3000,memory_mib=128,host_calls=256,hostcall_fuel_kib=4096,handles=1024,log_kib=64",
        "the most that a call of a plugin may use up that a shop uploaded itself",
    ),
    setting("max-images", "20", "images per product, at most"),
    setting("max-image-bytes", "20971520", "bytes per image, at most").also("MAX_FILE_SIZE"),
    setting("max-video-bytes", "209715200", "bytes per video, at most").also("MAX_FILE_SIZE"),
    setting("max-request-bytes", "268435456", "bytes per request, at most, but for files of products"),
    setting("max-import-bytes", "1073741824", "bytes per file of products, at most"),
    setting("max-import-rows", "100000", "rows per file of products, at most"),
    setting("max-plugin-bytes", "67108864", "bytes per plugin component, at most"),
    setting("max-pixels", "50000000", "pixels per image, at most; checked before decoding"),
    setting("threads", "0", "threads for inference and decoding; 0 means one per core"),
    setting(
        "compute",
        "auto",
        "what computes the model: auto (the fastest here, measured at the first start), or cpu, openvino, cuda, tensorrt, with a \
         number format if wanted, such as openvino/bf16",
    ),
    setting("max-batch", "16", "texts or images per call of the model, at most"),
    setting(
        "batch-wait-ms",
        "5",
        "how long a batch may wait for company while the model is busy, milliseconds",
    ),
    setting("embedding-cache-mib", "64", "memory for remembered embeddings, MiB"),
    setting("search-jobs", "8", "searches that run at once"),
    setting("ingest-jobs", "4", "products that are taken in at once"),
    setting("callback-jobs", "16", "callbacks that are posted at once"),
    setting(
        "callback-attempts",
        "16",
        "how often a callback is tried before it is buried; with the usual first wait that is most of a day",
    ),
    setting(
        "callback-retry-seconds",
        "5",
        "the longest wait for the second try of a callback; it doubles with each, up to six hours",
    ),
    setting(
        "callback-networks",
        "",
        "networks that callbacks may be posted to, and pictures of imports fetched from, beside public addresses, such as 10.0.0.0/8, separated by commas",
    ),
    setting("event-streams", "1000", "streams of events of jobs that are open at once"),
    setting("event-streams-per-tenant", "100", "the same of one shop"),
    setting("lease-seconds", "30", "how long a silent worker keeps a job"),
    setting("attempts", "3", "how often a job may start without getting further before it is buried"),
    setting("result-hours", "24", "how long finished searches can be read"),
    setting(
        "failed-days",
        "30",
        "how long failed jobs and their uploads are kept, to be looked at and started again",
    ),
    setting("result-cache-minutes", "60", "how long a finished search answers the same search; 0 for never"),
    setting(
        "query-log",
        "off",
        "whether finished searches and what came of them are written down in the data folder: off, hashed (no words), or full (their words, too)",
    ),
    setting("query-log-mib", "64", "size of the query log, MiB; the older half goes when it is full"),
    setting("sweep-seconds", "3600", "age at which what a broken-off job left behind is swept"),
    setting("drain-seconds", "30", "how long running jobs may take to finish at shutdown"),
];
