# Every habit of the house by name. `./just` brings its own just; with one installed, `just` does the same.
# Settings come from the environment, then from `.env` (see .env.example), then from here.

set dotenv-load
set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

root := justfile_directory()
tools := root / ".tools"
target := env("CARGO_TARGET_DIR", root / "target")
python := env("PYTHON", "python3")
sample := tools / "sample/catalogue.ndjson"

# A plugin is a crate in plugins/ with a manifest of what it may do.
plugin_names := `for manifest in plugins/*/plugin.toml; do [ ! -f "$manifest" ] || basename "$(dirname "$manifest")"; done | xargs`
plugin_packages := prepend("--package=", plugin_names)
# The examples are packages as their authors have them, in several languages; those in Rust are crates of the workspace.
rust_examples := `for crate in plugins/examples/*/Cargo.toml; do [ ! -f "$crate" ] || basename "$(dirname "$crate")"; done | xargs`
example_packages := prepend("--package=", rust_examples)

export PATH := tools / "bin:" + env("PATH")
export TAJA_ONNXRUNTIME := env("TAJA_ONNXRUNTIME", tools / "onnxruntime/lib/libonnxruntime.so")
export TAJA_MODEL := env("TAJA_MODEL", tools / "models/default")
export TAJA_PLUGINS := env("TAJA_PLUGINS", target / "plugins")
export TAJA_FFMPEG := env("TAJA_FFMPEG", tools / "bin/ffmpeg")

# List the recipes
default:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# Set up, build and serve; an empty catalogue is filled with the sample shop
serve *ARGS: setup build
    #!/usr/bin/env bash
    set -euo pipefail
    export TAJA_DATA="${TAJA_DATA:-{{ root }}/data}"
    if [ -f {{ quote(sample) }} ]; then
        set -- --sample {{ quote(sample) }} "$@"
    fi
    exec {{ quote(target / "release/taja") }} serve "$@"

# Set up, build and pass all tests; ARGS go to the runner of the Rust tests
test *ARGS: setup (setup "redis" "mongod" "registry" "node" "photographs" "b32" "schemathesis") _setup_tests _test_build (_pack "debug") (_examples "debug")
    #!/usr/bin/env bash
    set -euo pipefail
    # Tests never see what `.env` or the shell say about a real shop.
    for name in ${!TAJA_@} ${!MONGO_@} ${!CLOUDINARY_@} REDIS_URL CLIP_MODEL_NAME EMBEDDING_DIMENSION \
        SIMILARITY_THRESHOLD MAX_FILE_SIZE ALLOWED_IMAGE_TYPES ALLOWED_VIDEO_TYPES LOG_LEVEL ENVIRONMENT API_V1_STR; do
        case $name in
            TAJA_ONNXRUNTIME | TAJA_MODEL | TAJA_PLUGINS | TAJA_FFMPEG | TAJA_TEST_*) ;;
            *) unset "$name" ;;
        esac
    done
    cargo test --workspace --doc --quiet
    if cargo nextest --version >/dev/null 2>&1; then
        profile=default
        if [ -n "${CI:-}" ]; then profile=ci; fi
        # Half of what a test of the whole service takes is waiting.
        export NEXTEST_TEST_THREADS=${NEXTEST_TEST_THREADS:-$(($(nproc) * 2))}
        cargo nextest run --workspace --profile "$profile" "$@"
    else
        echo "cargo-nextest is not installed: running the tests with cargo's own runner (\`./just setup nextest\` builds it)"
        cargo test --workspace --lib --bins --tests "$@"
    fi
    # Whoever asked for some tests wants those.
    if [ $# -eq 0 ]; then
        {{ quote(target / "debug/examples/chaos") }} --quick
        PYTHONPATH={{ quote(tools / "schemathesis") }} {{ quote(python) }} {{ quote(root / "host/fuzz/http.py") }} \
            {{ quote(target / "debug/taja") }} --seconds 60
    fi

# Run the built `taja ARGS` with everything it needs found, for example: just run search --text "red shoe"
[no-cd]
run *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    export TAJA_DATA="${TAJA_DATA:-{{ root }}/data}"
    if [ ! -x {{ quote(target / "release/taja") }} ]; then
        echo "not built yet: run \`./just build\` first" >&2
        exit 1
    fi
    exec {{ quote(target / "release/taja") }} "$@"

# Provision .tools: everything that is missing, or the named items
setup *ITEMS:
    @{{ quote(python) }} {{ quote(root / "host/setup/setup.py") }} "$@" >&2

# Build the host (release) and the plugins
build: (setup "wasm") _release_build (_pack "release")

# Build the plugins and pack each with its manifest into target/plugins
plugins: build

# Build the examples in plugins/examples and pass their cases
examples: build (setup "node") (_examples "release")

# Check the format, clippy's opinion and the dependencies
lint: (setup "wasm") _banned
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --target wasm32-wasip2 {{ plugin_packages }} {{ example_packages }} -- -D warnings
    @if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
        else echo "cargo-deny is not installed: licences and sources were not checked"; fi
    @if cargo machete --version >/dev/null 2>&1; then cargo machete; \
        else echo "cargo-machete is not installed: unused dependencies were not looked for"; fi

# Look the dependencies up among the known advisories (needs cargo-deny and the network)
audit:
    cargo deny check advisories

# Format the sources
fmt:
    cargo fmt --all

# Run the benchmarks
bench: setup (setup "b32" "l14" "celery" "redis" "mongod") build
    @echo "== policies: calls, neighbours, a thousand shops"
    cargo bench --quiet --workspace --bench policies -- {{ quote(target / "plugins/rank-default.wasm") }}
    @echo "== vectors: scan and graph"
    cargo bench --quiet --workspace --bench index
    @echo "== queue, beside Celery"
    cargo bench --quiet --workspace --bench queue
    @echo "== store"
    cargo bench --quiet --workspace --bench store
    @echo "== embedding, on every backend: the default model, then CLIP ViT-B/32 and ViT-L/14 in fp32 with random weights"
    cargo bench --quiet --workspace --bench embed -- "$TAJA_MODEL" {{ quote(tools / "models/random-vit-b-32") }} {{ quote(tools / "models/random-vit-l-14") }}
    @echo "== service: starts, searches, swaps of a policy"
    cargo bench --quiet --workspace --bench service

# Measure the bundled policies on labelled shops and write the figures into models/README.md; ARGS: the labelled folder, --shop NAME
eval *ARGS: setup build
    @{{ quote(python) }} {{ quote(root / "models/measure.py") }} --taja {{ quote(target / "release/taja") }} --sample {{ quote(sample) }} "$@"

# Import ten thousand products, killed in the middle: products per second, peak memory, and whether each is there once; ARGS: --rows N
imports *ARGS: setup build
    @{{ quote(python) }} {{ quote(root / "bench/imports.py") }} --taja {{ quote(target / "release/taja") }} "$@"

# Run Taja beside its peers and write down how they compare in bench/README.md; ARGS as `python3 bench/run.py --help` tells
peers *ARGS: setup (setup "b32" "l14" "redis" "mongod") build
    cargo build --quiet --release --package taja-sqlite --example fill
    {{ quote(python) }} {{ quote(root / "bench/run.py") }} "$@"

# Break things on purpose and count what is lost; ARGS are faults, --json, and --quick for small numbers in the debug build
chaos *ARGS: setup (setup "redis" "mongod")
    #!/usr/bin/env bash
    set -euo pipefail
    profile=release options=--release
    case " $* " in *" --quick "*) profile=debug options= ;; esac
    cargo build --quiet --workspace --bins --example chaos $options
    {{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} _pack "$profile"
    exec {{ quote(target) }}/"$profile"/examples/chaos "$@"

# Search, guided by coverage, for inputs that break what reads them; a part of a TARGET's name chooses some, SECONDS each
fuzz TARGET="" SECONDS="60":
    #!/usr/bin/env bash
    set -euo pipefail
    command -v cargo-bolero >/dev/null || cargo install --locked --no-default-features --features libfuzzer \
        --version 0.13.5 --root {{ quote(tools) }} cargo-bolero
    while read -r crate target; do
        case $target in *{{ TARGET }}*) ;; *) continue ;; esac
        echo "== $crate $target"
        cargo bolero test --rustc-bootstrap --sanitizer NONE --engine libfuzzer -T {{ SECONDS }}s --package "$crate" "$target"
    done <<'END'
    taja-catalog filter::fuzz::any_text_is_a_filter_that_survives_being_written_or_is_refused
    taja-media fuzz::any_bytes_are_a_picture_within_the_limits_or_refused
    taja-sandbox answer::fuzz::whatever_a_ranking_answers_is_an_order_of_its_candidates_or_refused
    taja-sandbox answer::fuzz::whatever_an_ingestion_answers_is_a_decision_on_its_pictures_or_refused
    taja http::fuzz::any_body_is_a_form_or_the_clients_mistake
    taja http::fuzz::any_text_is_a_cursor_or_the_clients_mistake
    END

# Ask a service all that its OpenAPI description allows and more; ARGS as `python3 host/fuzz/http.py --help` tells (--seconds N)
fuzz-http *ARGS: setup (setup "schemathesis") _test_build (_pack "debug")
    PYTHONPATH={{ quote(tools / "schemathesis") }} {{ quote(python) }} {{ quote(root / "host/fuzz/http.py") }} \
        {{ quote(target / "debug/taja") }} "$@"

# Remove all that set-up fetched
clean-tools:
    rm -rf {{ quote(tools) }}

_release_build:
    cargo build --release --package taja

# The very artifacts that the test runner asks for, so that the program exists before the plugins are packed.
_test_build:
    cargo build --workspace --bins --tests --example chaos

_setup_tests:
    {{ quote(python) }} -m unittest discover --quiet --buffer --start-directory {{ quote(root / "host/setup") }}
    @{{ quote(python) }} -m unittest discover --quiet --buffer --start-directory {{ quote(root / "bench") }} --top-level-directory {{ quote(root / "bench") }}
    @{{ quote(python) }} -m unittest discover --quiet --buffer --start-directory {{ quote(root / "models") }} --pattern test_measure.py

# Packs with the program of the given build; what is newer than all it is made from is left alone.
_pack profile_folder:
    #!/usr/bin/env bash
    set -euo pipefail
    names=({{ plugin_names }})
    if [ ${#names[@]} -eq 0 ]; then exit 0; fi
    taja={{ quote(target) }}/{{ profile_folder }}/taja
    cargo build --profile plugin --target wasm32-wasip2 {{ plugin_packages }}
    mkdir -p {{ quote(target / "plugins") }}
    for name in "${names[@]}"; do
        component={{ quote(target) }}/wasm32-wasip2/plugin/${name//-/_}.wasm
        manifest=plugins/$name/plugin.toml
        packed={{ quote(target) }}/plugins/$name.wasm
        if [ "$component" -nt "$packed" ] || [ "$manifest" -nt "$packed" ] || [ "$taja" -nt "$packed" ]; then
            "$taja" plugin pack "$component" --manifest "$manifest" --out "$packed"
        fi
    done

_examples profile_folder:
    #!/usr/bin/env bash
    set -euo pipefail
    for manifest in plugins/examples/*/plugin.toml; do
        {{ quote(target) }}/{{ profile_folder }}/taja plugin test "$(dirname "$manifest")" --profile plugin
    done
    # What their authors test without a component; the SDKs' own tests ride along.
    (cd plugins/examples/rank-freshness && npm test --silent)
    cd plugins/examples/rank-diversity
    tools=$PWD/.taja/python
    PYTHONPATH=$tools:src:sdk:.taja/bindings {{ quote(python) }} -m unittest discover --quiet tests
    cd ../../sdk/python
    types=$(mktemp -d)
    trap 'rm -rf "$types"' EXIT
    for kind in rank search ingest; do
        PYTHONPATH=$tools {{ quote(python) }} "$tools/bin/componentize-py" -d ../../../wit -w $kind bindings "$types/$kind"
        cp -r "$types/$kind/." "$types"
    done
    PYTHONPATH=.:$types {{ quote(python) }} -m unittest discover --quiet tests

# One TLS stack only: its rivals bring a second copy of every primitive, or a C library of the system.
_banned:
    #!/usr/bin/env bash
    set -euo pipefail
    tree=$(cargo tree --workspace --edges normal,build,dev --prefix none)
    if grep -E '^(ring|openssl-sys) ' <<<"$tree"; then
        echo "banned: \`cargo tree -i NAME\` shows who brings it" >&2
        exit 1
    fi
