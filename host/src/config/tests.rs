//! What is understood, and how a mistake is named.

use super::*;

fn read(
    line: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Config, ConfigError> {
    read_as(Role::Serve, line, environment, file)
}

fn read_as(
    role: Role,
    line: &[(&str, &str)],
    environment: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Config, ConfigError> {
    let environment: HashMap<_, _> =
        environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Config::read(&Sources {
        role,
        command_line: line.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        environment: &|name| environment.get(name).cloned(),
        file: file.map(|text| ("taja.toml".into(), text.to_owned())),
    })
}

#[test]
fn the_defaults_of_the_table_can_be_read() {
    let config = read(&[], &[], None).unwrap();
    assert_eq!(config.listen.port(), 8000);
    assert_eq!(config.limits.pixels, 50_000_000);
}

#[test]
fn the_example_names_every_setting_with_its_default() {
    let example = include_str!("../../../.env.example");
    for setting in
        SETTINGS.iter().filter(|setting| !["public-url", "plugin-settings"].contains(&setting.name))
    {
        let line = format!("#{}={}\n", variable(setting.name), setting.default);
        assert!(example.contains(&line), "{line}");
    }
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file() {
    let file = Some("data = \"f\"\nmax-batch = 2\nthreads = 3\n[plugin-settings.rank-default]\nk = 5");
    let env = [("TAJA_DATA", "e"), ("TAJA_MAX_BATCH", "4")];
    let config = read(&[("data", "c")], &env, file).unwrap();
    assert_eq!((config.data, config.max_batch, config.threads), ("c".into(), 4, 3));
    assert_eq!(config.plugin_settings["rank-default"]["k"], 5);
}

#[test]
fn every_mistake_is_reported_together() {
    let error =
        read(&[("listen", "0.0.0.0:80")], &[("TAJA_MAX_BATCH", "0")], Some("colour = 1")).unwrap_err();
    let text = error.to_string();
    for part in ["3 mistake(s)", "--listen", "TAJA_MAX_BATCH", "`colour`"] {
        assert!(text.contains(part), "{text}");
    }
}

const SHARED: [(&str, &str); 3] = [
    ("MONGO_URI", "mongodb://127.0.0.1/?replicaSet=rs0"),
    ("REDIS_URL", "redis://127.0.0.1/"),
    ("CLOUDINARY_URL", "cloudinary://123:secret@demo"),
];

#[test]
fn other_services_names_are_understood_and_our_own_win() {
    let config = read(
        &[],
        &[
            ("MONGO_URI", "mongodb://host/"),
            ("MONGO_DB", "shop"),
            ("MONGO_COLLECTION", "items"),
            ("CLOUDINARY_CLOUD_NAME", "demo"),
            ("CLOUDINARY_API_KEY", "123"),
            ("CLOUDINARY_API_SECRET", "secret"),
            ("CLIP_MODEL_NAME", "ViT-L/14"),
            ("EMBEDDING_DIMENSION", "768"),
            ("SIMILARITY_THRESHOLD", "0.7"),
            ("MAX_FILE_SIZE", "1000"),
            ("TAJA_MAX_VIDEO_BYTES", "2000"),
            ("ALLOWED_IMAGE_TYPES", "image/jpeg, image/PNG"),
            ("ALLOWED_VIDEO_TYPES", "[\"video/mp4\"]"),
            ("LOG_LEVEL", "DEBUG"),
            ("ENVIRONMENT", "Production"),
            ("API_V1_STR", "/api/v2/"),
        ],
        None,
    )
    .unwrap();
    let mongo = config.mongo.unwrap();
    assert_eq!((mongo.database.as_str(), mongo.collection.as_str()), ("shop", "items"));
    assert_eq!(config.cloudinary.unwrap().credentials.cloud_name(), "demo");
    assert_eq!((config.model_name.as_deref(), config.dimension), (Some("ViT-L/14"), Some(768)));
    assert_eq!((config.limits.image_bytes, config.limits.video_bytes), (1000, 2000));
    assert_eq!(config.limits.image_types, [ImageType::Jpeg, ImageType::Png]);
    assert_eq!(config.limits.video_types, [VideoType::Mp4]);
    assert_eq!(
        (config.log.as_str(), config.production, config.api_prefix.as_str()),
        ("DEBUG", true, "/api/v2")
    );
    let ranking = &config.plugin_settings["rank-default"];
    assert_eq!((&ranking["min_cosine_image"], &ranking["min_cosine_video"]), (&0.7.into(), &0.7.into()));
    assert!(ranking.get("min_cosine_text").is_none());
}

#[test]
fn the_limits_of_plugins_are_those_of_the_table_but_for_what_is_named() {
    use taja_sandbox::Limits;

    let config = read(&[], &[], None).unwrap();
    assert_eq!((config.plugin_limits, config.tenant_plugin_limits), (Limits::OPERATORS, Limits::SHOPS));
    for (name, limits) in [("plugin-limits", Limits::OPERATORS), ("tenant-plugin-limits", Limits::SHOPS)] {
        let row = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!(row.default, limits.to_string());
    }
    let env = [("TAJA_TENANT_PLUGIN_LIMITS", "cpu_ms=50, memory_mib=32")];
    let shops = read(&[], &env, None).unwrap().tenant_plugin_limits;
    assert_eq!((shops.cpu, shops.memory_bytes), (Duration::from_millis(50), 32 << 20));
    assert_eq!((shops.wall, shops.handles), (Limits::SHOPS.wall, Limits::SHOPS.handles));
    let error = read(&[("plugin-limits", "cpu=1,memory_mib=9999")], &env, None).unwrap_err().to_string();
    for says in
        ["1 mistake(s)", "--plugin-limits: \"cpu\" is no limit: it is one of cpu_ms,", "memory_mib: \"9999\""]
    {
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let key = ("TAJA_API_KEY", "0123456789abcdef0123456789abcdef");
    let config = read(&[], &[&SHARED[..], &[key]].concat(), None).unwrap();
    let shown = format!("{config:?}");
    for secret in ["secret@", "secret\"", "0123456789abcdef", "mongodb://", "redis://"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[rstest::rstest]
#[case(Role::Serve, &[], &[])]
#[case(Role::Serve, &[0], &[])]
#[case(Role::Serve, &[2], &[])]
#[case(Role::Serve, &[0, 1], &[])]
#[case(Role::Serve, &[1], &["REDIS_URL without MONGO_URI"])]
#[case(Role::Api, &[0, 1, 2], &[])]
#[case(Role::Worker, &[0, 1, 2], &[])]
#[case(Role::Worker, &[0, 1], &["set CLOUDINARY_URL"])]
#[case(Role::Api, &[], &["set MONGO_URI", "set REDIS_URL", "set CLOUDINARY_URL"])]
fn backends_go_together_or_are_refused(#[case] role: Role, #[case] set: &[usize], #[case] mistakes: &[&str]) {
    let environment: Vec<_> = set.iter().map(|place| SHARED[*place]).collect();
    match read_as(role, &[], &environment, None) {
        Ok(_) => assert!(mistakes.is_empty()),
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("the configuration has {} mistake(s)", mistakes.len())),
                "{text}"
            );
            assert!(mistakes.iter().all(|mistake| text.contains(mistake)), "{text}");
        }
    }
}

#[rstest::rstest]
#[case(&[], "")]
#[case(&[0], "leave MONGO_URI out")]
#[case(&[0, 1], "leave MONGO_URI and REDIS_URL out")]
#[case(&[2], "leave CLOUDINARY_URL out")]
#[case(&[0, 1, 2], "leave MONGO_URI and REDIS_URL and CLOUDINARY_URL out")]
fn what_lies_elsewhere_asks_for_a_key(#[case] set: &[usize], #[case] told: &str) {
    let mut environment: Vec<_> = set.iter().map(|place| SHARED[*place]).collect();
    let refused = read(&[], &environment, None).unwrap().check_key().err().map(|error| error.to_string());
    assert_eq!(refused.is_some(), !set.is_empty());
    assert!(refused.is_none_or(|text| text.contains("set TAJA_API_KEY") && text.ends_with(told)));
    environment.push(("TAJA_API_KEY", "0123456789abcdef0123456789abcdef"));
    assert!(read(&[], &environment, None).unwrap().check_key().is_ok());
}

#[rstest::rstest]
#[case("MONGO_URI", "postgres://host/", "mongodb://")]
#[case("MONGO_DB", "my shop", "MONGO_DB")]
#[case("CLOUDINARY_CLOUD_NAME", "demo", "CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET")]
#[case("CLOUDINARY_URL", "https://demo", "CLOUDINARY_URL")]
#[case("SIMILARITY_THRESHOLD", "70", "cosine")]
#[case("ALLOWED_IMAGE_TYPES", "image/tiff", "image/jpeg")]
#[case("ALLOWED_VIDEO_TYPES", "[]", "names no type")]
#[case("LOG_LEVEL", "loud=very=much", "LOG_LEVEL")]
#[case("ENVIRONMENT", "prod", "production")]
#[case("API_V1_STR", "api", "/api/v1")]
#[case("TAJA_API_KEY", "short", "32 characters")]
#[case("TAJA_PLUGIN_TRUSTED_KEYS", "release=12", "TAJA_PLUGIN_TRUSTED_KEYS")]
#[case("TAJA_TENANT_CAPABILITIES", "embed, disk", "\"disk\" is no capability")]
fn a_mistake_names_its_variable_and_what_would_do(
    #[case] name: &str,
    #[case] text: &str,
    #[case] told: &str,
) {
    let mut environment = vec![(name, text)];
    if name == "MONGO_DB" {
        environment.push(SHARED[0]);
    }
    let error = read(&[], &environment, None).unwrap_err().to_string();
    assert!(error.contains(told), "{error}");
}

#[test]
fn lists_of_keys_and_capabilities_are_separated_by_commas() {
    let config = read(&[], &[("TAJA_TENANT_CAPABILITIES", "embed, job,")], None).unwrap();
    assert_eq!(config.tenant_capabilities, [Capability::Embed, Capability::Job].into());
    assert!(config.trusted_keys.is_empty());
    let key = taja_sandbox::signature::SigningKey::generate().unwrap().public();
    let config = read(&[], &[("TAJA_PLUGIN_TRUSTED_KEYS", &format!("release={key}"))], None).unwrap();
    assert!(!config.trusted_keys.is_empty());
}

#[test]
fn a_key_opens_other_addresses() {
    let listen = ("TAJA_LISTEN", "0.0.0.0:8000");
    assert!(read(&[], &[listen], None).unwrap_err().to_string().contains("TAJA_API_KEY"));
    assert!(read(&[], &[listen, ("TAJA_API_KEY", "0123456789abcdef0123456789abcdef")], None).is_ok());
}
